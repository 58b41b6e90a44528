package org.edgevit.demo

/**
 * The engine of the artifact's target, or null. `edgevit embed` keeps the line of the one target
 * that it embeds, so each stands on a line of its own.
 */
internal fun engineOf(artifact: Artifact): InferenceEngine? =
    when (artifact.target) {
        "tflite" -> TfliteEngine(artifact)
        "onnx" -> OnnxEngine(artifact)
        "executorch" -> executorch(artifact)
        else -> null
    }
