package org.edgevit.demo

import org.tensorflow.lite.Delegate
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite

/**
 * TFLite or LiteRT, which share these classes: XNNPACK on the CPU, or the GPU where it is built in.
 */
class TfliteEngine(artifact: Artifact) : InferenceEngine {
    private val gpu: Delegate? = if (artifact.delegate == "gpu") gpuDelegate() else null
    private val interpreter =
        Interpreter(
            artifact.file,
            Interpreter.Options().apply {
                setNumThreads(artifact.threads)
                setUseXNNPACK(gpu == null)
                gpu?.let { addDelegate(it) }
            },
        )
    override val runtime = "tflite"
    override val version: String = TensorFlowLite.runtimeVersion()
    override val placement = if (gpu == null) "" else "GPU delegate"

    // edgevit's files number them, and the file's own order need not be that one.
    private val inputsInFile =
        List(interpreter.inputTensorCount) { port(interpreter.getInputTensor(it)) }
    private val outputsInFile =
        List(interpreter.outputTensorCount) { port(interpreter.getOutputTensor(it)) }
    override val inputs = inputsInFile.sortedBy { number(it.name) }
    override val outputs = outputsInFile.sortedBy { number(it.name) }
    private val fed = Array<Any>(inputsInFile.size) { inputsInFile[it].bytes }
    private val filled = outputsInFile.indices.associateWith<Int, Any> { outputsInFile[it].bytes }

    override fun run() {
        (inputs + outputs).forEach { it.bytes.rewind() }
        interpreter.runForMultipleInputsOutputs(fed, filled)
    }

    override fun close() {
        interpreter.close()
        gpu?.close()
    }

    private fun port(tensor: Tensor) =
        Port(tensor.name(), tensor.dataType().name.lowercase(), tensor.shape())

    private fun number(name: String) = Regex("\\d+").find(name)?.value?.toIntOrNull() ?: 0

    /** By name: the classes come with a library of their own, which a build may leave out. */
    private fun gpuDelegate(): Delegate =
        try {
            Class.forName("org.tensorflow.lite.gpu.GpuDelegate").getConstructor().newInstance()
                as Delegate
        } catch (e: ReflectiveOperationException) {
            throw Failure(
                "MissingRuntime",
                "TFLite's GPU delegate is not in this build of the app; use the CPU",
                e,
            )
        }
}
