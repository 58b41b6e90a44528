package org.edgevit.demo

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

private val SIZES =
    mapOf(
        "float64" to 8,
        "int64" to 8,
        "float32" to 4,
        "int32" to 4,
        "float16" to 2,
        "int16" to 2,
        "int8" to 1,
        "uint8" to 1,
        "bool" to 1,
    )

/** An input or output and the memory that it lies in: raw, in C order and this machine's bytes. */
class Port(val name: String, val dtype: String, val shape: IntArray) {
    val count: Int =
        shape
            .fold(1L) { product, n -> product * n }
            .let {
                if (it !in 1..Int.MAX_VALUE / 8L) {
                    throw Failure(
                        "ArtifactError",
                        "$name has shape ${shape.asList()}, which this app cannot hold",
                    )
                }
                it.toInt()
            }
    private val size =
        SIZES[dtype] ?: throw Failure("ArtifactError", "$name has the unknown type $dtype")
    val bytes: ByteBuffer = ByteBuffer.allocateDirect(count * size).order(ByteOrder.nativeOrder())

    fun floats(): FloatArray {
        if (dtype != "float32")
            throw Failure("ArtifactError", "$name is $dtype where this app needs float32")
        return FloatArray(count).also {
            bytes.rewind()
            bytes.asFloatBuffer().get(it)
        }
    }
}

/** One artifact opened in its runtime: fill the inputs' bytes, `run`, read the outputs' bytes. */
interface InferenceEngine : AutoCloseable {
    val runtime: String
    val version: String

    /** Where the graph runs, if the runtime says so; "" where it does not. */
    val placement: String
    val inputs: List<Port>

    /** Complete after the first `run`: not every runtime knows them before. */
    val outputs: List<Port>

    fun run()
}

/** What is to be opened and how. inputs: what the card or job says of them, for ExecuTorch. */
class Artifact(
    val file: File,
    val target: String,
    val threads: Int = 1,
    val delegate: String = "cpu",
    val inputs: List<Port> = emptyList(),
) {
    private val what = "${file.name} was not loaded"

    /** A Failure if it is not there, or is larger than the memory that is free. */
    fun check() {
        if (!file.isFile)
            throw Failure("InputError", "there is no file ${file.path}; push it again")
        val available = Memory.available()
        if (available in 1 until file.length()) {
            val (mine, free) = listOf(file.length(), available).map { it / 1_000_000 }
            throw Failure(
                "ChildMemory",
                "$what: it has $mine MB, and only $free MB of memory are free",
            )
        }
    }

    /** In the runtime of its target, or a Failure that says what is the matter with it. */
    fun open(): InferenceEngine {
        check()
        if (delegate !in listOf("cpu", "gpu") || (delegate == "gpu" && target != "tflite")) {
            throw Failure("InputError", "$what: $target has no delegate \"$delegate\" in this app")
        }
        try {
            return engineOf(this)
                ?: throw Failure("UnknownName", "$what: this app has no engine for $target")
        } catch (e: Throwable) {
            throw Failure.of(e, what)
        }
    }
}
