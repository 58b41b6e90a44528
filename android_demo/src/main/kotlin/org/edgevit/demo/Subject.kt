package org.edgevit.demo

import java.nio.ByteBuffer
import java.util.Random
import kotlin.math.ceil
import org.json.JSONArray
import org.json.JSONObject

/**
 * One artifact and the samples taken of it, as profiles/variant.py keeps them; at rest once it
 * failed.
 */
class Subject(private val artifact: Artifact) {
    var error: Failure? = null
        private set

    val rounds = JSONArray()
    private var engine: InferenceEngine? = null
    private var iterations = 1
    private val warmups = mutableListOf<Double>()
    private var cpuS = 0.0
    private var timedS = 0.0
    private val said = JSONObject()

    val label: String
        get() = artifact.file.name

    /** Do a step; what it throws ends this artifact and leaves the others running. */
    fun attempt(step: Subject.() -> Unit) {
        if (error != null) return
        try {
            step()
        } catch (e: Throwable) {
            error = Failure.of(e, "$label failed")
            close()
        }
    }

    /**
     * Load twice and time the second, since the first reads the file and the runtime's code; run
     * once.
     */
    fun open(seed: Long) {
        artifact.open().close()
        Runtime.getRuntime().gc()
        Memory.forgetPeak()
        val before = Memory.resident()
        val loading = System.nanoTime()
        val opened = artifact.open()
        val loaded = System.nanoTime()
        engine = opened
        opened.inputs.forEach { fill(it, Random(seed)) }
        val running = System.nanoTime()
        opened.run()
        said
            .put("load_s", seconds(loading, loaded))
            .put("first_run_s", seconds(running, System.nanoTime()))
            .put("peak_memory_bytes", maxOf(0, Memory.peakResident() - before))
            .put("runtime", opened.runtime)
            .put("runtime_version", opened.version)
            .put("placement", opened.placement)
            .put("inputs", described(opened.inputs))
            .put("outputs", described(opened.outputs))
    }

    fun warmUp(warmupS: Double, blockS: Double) {
        warmups += block(1)
        while (warmups.sum() < warmupS) warmups +=
            block(iterations(warmupS - warmups.sum(), warmups.last()))
        val settled =
            warmups.drop(warmups.size / 2).sorted().let {
                (it[(it.size - 1) / 2] + it[it.size / 2]) / 2
            }
        iterations = iterations(1.05 * blockS, settled)
        cpuS = 0.0 // of what is timed only
        timedS = 0.0
    }

    fun oneRound() {
        rounds.put(JSONArray(block(iterations)))
    }

    /** The outputs for these inputs, raw. */
    fun answer(inputs: List<ByteArray>): List<ByteArray> {
        val opened = engine!!
        if (inputs.size != opened.inputs.size) {
            throw Failure(
                "InputError",
                "$label takes ${opened.inputs.size} inputs, ${inputs.size} were given",
            )
        }
        for ((port, given) in opened.inputs.zip(inputs)) {
            if (given.size != port.bytes.capacity()) {
                throw Failure(
                    "InputError",
                    "input ${port.name} of $label has ${port.bytes.capacity()} bytes, " +
                        "${given.size} were given",
                )
            }
            port.bytes.rewind()
            port.bytes.put(given)
        }
        opened.run()
        return opened.outputs.map { port ->
            ByteArray(port.bytes.capacity()).also {
                port.bytes.rewind()
                port.bytes.get(it)
            }
        }
    }

    fun close() {
        runCatching { engine?.close() } // nothing is left to be told of
        engine = null
    }

    fun json(): JSONObject {
        error?.let {
            return JSONObject().put("error", it.json())
        }
        return said
            .put("error", JSONObject.NULL)
            .put("warmups_s", JSONArray(warmups))
            .put("rounds_s", rounds)
            .put("cpu_s", cpuS)
            .put("timed_s", timedS)
    }

    /**
     * Seconds of `count` inferences after one untimed: another artifact has just had the caches.
     */
    private fun block(count: Int): List<Double> {
        val opened = engine!!
        val ends = LongArray(count + 1)
        Runtime.getRuntime().gc()
        opened.run()
        val cpu = Device.cpuSeconds()
        ends[0] = System.nanoTime()
        for (i in 1..count) {
            opened.run()
            ends[i] = System.nanoTime()
        }
        cpuS += Device.cpuSeconds() - cpu
        timedS += seconds(ends[0], ends[count])
        return List(count) { seconds(ends[it], ends[it + 1]) }
    }

    private fun described(ports: List<Port>) =
        JSONArray(
            ports.map {
                JSONObject()
                    .put("name", it.name)
                    .put("dtype", it.dtype)
                    .put("shape", JSONArray(it.shape.asList()))
            }
        )
}

private const val MAX_ITERATIONS = 10_000 // of one block, as on the host

private fun iterations(totalS: Double, oneS: Double) =
    ceil(totalS / oneS).coerceIn(1.0, MAX_ITERATIONS.toDouble()).toInt()

/** No sample is zero, though a clock can stand still over a call that does nothing. */
private fun seconds(from: Long, to: Long) = maxOf(1, to - from) / 1e9

/** Normal floats, or anything that an image byte can be; zeros would let kernels skip work. */
private fun fill(port: Port, random: Random) {
    val bytes: ByteBuffer = port.bytes
    bytes.rewind()
    repeat(port.count) {
        when (port.dtype) {
            "float32" -> bytes.putFloat(random.nextGaussian().toFloat())
            "float64" -> bytes.putDouble(random.nextGaussian())
            "float16" -> bytes.putShort(android.util.Half.toHalf(random.nextGaussian().toFloat()))
            "int64" -> bytes.putLong(random.nextInt(256) - 128L)
            "int32" -> bytes.putInt(random.nextInt(256) - 128)
            "int16" -> bytes.putShort((random.nextInt(256) - 128).toShort())
            "bool" -> bytes.put(random.nextInt(2).toByte())
            "uint8" -> bytes.put(random.nextInt(128).toByte()) // as the host: at most 127
            else -> bytes.put(random.nextInt(256).toByte())
        }
    }
}
