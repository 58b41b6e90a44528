package org.edgevit.demo

import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/**
 * ExecuTorch, whose library does not say what a file's inputs are: the card or the job does.
 *
 * Compiled against signatures written by hand, and run nowhere yet.
 */
class ExecutorchEngine(artifact: Artifact) : InferenceEngine {
    override val runtime = "executorch"
    override val version = ""
    override val placement = ""
    override val inputs =
        artifact.inputs.ifEmpty {
            throw Failure(
                "InputError",
                "${artifact.file.name}: its inputs are not known; give it with its card",
            )
        }
    override var outputs = emptyList<Port>()
        private set

    private val module = Module.load(artifact.file.path, Module.LOAD_MODE_MMAP, artifact.threads)
    private val fed =
        inputs
            .map {
                if (it.dtype != "float32")
                    throw Failure("ArtifactError", "${it.name} is ${it.dtype}, not float32")
                it.bytes.rewind()
                val shape = LongArray(it.shape.size) { i -> it.shape[i].toLong() }
                EValue.from(
                    Tensor.fromBlob(it.bytes.asFloatBuffer(), shape)
                ) // on the port's own memory
            }
            .toTypedArray()

    init {
        module.loadMethod("forward")
    }

    override fun run() {
        val found = module.forward(*fed).map { it.toTensor() }
        if (outputs.isEmpty()) {
            outputs =
                found.mapIndexed { i, tensor ->
                    Port("output_$i", "float32", tensor.shape().map { it.toInt() }.toIntArray())
                }
        }
        for ((port, tensor) in outputs.zip(found)) {
            port.bytes.rewind()
            port.bytes.asFloatBuffer().put(tensor.dataAsFloatArray)
        }
    }

    override fun close() = module.destroy()
}

/** Asked for by name first, since a build without ExecuTorch's library is an app all the same. */
internal fun executorch(artifact: Artifact): InferenceEngine {
    try {
        Class.forName("org.pytorch.executorch.Module", false, artifact.javaClass.classLoader)
    } catch (e: ClassNotFoundException) {
        val how = "build it in Android Studio, which adds org.pytorch:executorch-android"
        throw Failure(
            "MissingRuntime",
            "ExecuTorch's library is not in this build of the app; $how",
            e,
        )
    }
    return ExecutorchEngine(artifact)
}
