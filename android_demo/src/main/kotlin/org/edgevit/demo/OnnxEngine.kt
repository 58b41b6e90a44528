package org.edgevit.demo

import ai.onnxruntime.NodeInfo
import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtLoggingLevel
import ai.onnxruntime.OrtSession
import ai.onnxruntime.TensorInfo

/**
 * ONNX Runtime on the CPU; tensors stand on the ports' own memory, so that `run` allocates nothing.
 */
class OnnxEngine(artifact: Artifact) : InferenceEngine {
    private val environment = OrtEnvironment.getEnvironment()
    private val session =
        OrtSession.SessionOptions().use {
            it.setIntraOpNumThreads(artifact.threads)
            it.setInterOpNumThreads(1)
            it.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR)
            environment.createSession(artifact.file.path, it)
        }
    override val runtime = "onnxruntime"
    override val version: String = environment.version
    override val placement = ""
    override val inputs = session.inputInfo.map { (name, info) -> port(name, info) }
    override val outputs = session.outputInfo.map { (name, info) -> port(name, info) }
    private val fed = inputs.associate { it.name to tensor(it) }
    private val filled = outputs.associate { it.name to tensor(it) }

    override fun run() = session.run(fed, filled).close()

    override fun close() {
        (fed.values + filled.values).forEach { it.close() }
        session.close()
    }

    private fun port(name: String, info: NodeInfo): Port {
        val tensor =
            info.info as? TensorInfo
                ?: throw Failure(
                    "ArtifactError",
                    "$name is no tensor, and this app runs tensors only",
                )
        val dtype =
            DTYPES[tensor.type]
                ?: throw Failure(
                    "ArtifactError",
                    "$name is of type ${tensor.type}, which this app does not know",
                )
        return Port(name, dtype, IntArray(tensor.shape.size) { maxOf(1, tensor.shape[it].toInt()) })
    }

    private fun tensor(port: Port): OnnxTensor {
        val shape = LongArray(port.shape.size) { port.shape[it].toLong() }
        val type = DTYPES.entries.first { it.value == port.dtype }.key
        return OnnxTensor.createTensor(environment, port.bytes, shape, type)
    }
}

private val DTYPES =
    mapOf(
        OnnxJavaType.FLOAT to "float32",
        OnnxJavaType.DOUBLE to "float64",
        OnnxJavaType.FLOAT16 to "float16",
        OnnxJavaType.INT8 to "int8",
        OnnxJavaType.UINT8 to "uint8",
        OnnxJavaType.INT16 to "int16",
        OnnxJavaType.INT32 to "int32",
        OnnxJavaType.INT64 to "int64",
        OnnxJavaType.BOOL to "bool",
    )
