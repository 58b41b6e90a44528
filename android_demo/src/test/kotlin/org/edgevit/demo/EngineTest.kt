package org.edgevit.demo

import android.os.Handler
import java.io.RandomAccessFile
import java.util.concurrent.ArrayBlockingQueue
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** Both runtimes compute what they compute in Python, and refuse what is no model in a sentence. */
@RunWith(RobolectricTestRunner::class)
class EngineTest {
    @Test fun onnxComputesWhatPythonDoes() = computes("onnx", "onnxruntime")

    @Test fun tfliteComputesWhatPythonDoes() = computes("tflite", "tflite")

    private fun computes(suffix: String, runtime: String) {
        Fixture.assumeRuns(suffix)
        val file = Fixture.push(suffix)
        val card = Card.beside(file)
        card.check(file)
        val prepare = card.preprocess!!
        Artifact(file, card.target).open().use { engine ->
            assertEquals(runtime, engine.runtime)
            assertTrue(engine.version, Regex("""\d+\.\d+.*""").matches(engine.version))
            val input = engine.inputs.single()
            assertArrayEquals(intArrayOf(1, 3, 32, 32), input.shape)
            val expected = Fixture.floats("net.$suffix.logits")
            repeat(2) { // the second run reads and fills the same memory
                input.bytes.rewind()
                input.bytes.asFloatBuffer().put(prepare.input(prepare.shown(Fixture.photograph())))
                engine.run()
                assertArrayEquals(expected, engine.outputs.single().floats(), 1e-5f)
            }
        }
    }

    @Test
    fun aModelThatIsNoneIsRefused() {
        for (suffix in listOf("onnx", "tflite")) {
            val file =
                Fixture.files.resolve("broken.$suffix").apply {
                    writeText("this is no model at all")
                }
            if (suffix == "tflite") Fixture.assumeRuns(suffix)
            Fixture.failure("ArtifactError", "broken.$suffix was not loaded") {
                Artifact(file, suffix).open()
            }
        }
    }

    @Test
    fun whatThisBuildLacksIsNamed() {
        val file = Fixture.push("onnx")
        Fixture.failure("MissingRuntime", "ExecuTorch's library is not in this build") {
            Artifact(file, "executorch").open()
        }
        Fixture.failure("InputError", "onnx has no delegate \"gpu\"") {
            Artifact(file, "onnx", delegate = "gpu").open()
        }
        Fixture.failure("UnknownName", "no engine for coreml") { Artifact(file, "coreml").open() }
        Fixture.assumeRuns("tflite")
        Fixture.failure("MissingRuntime", "GPU delegate is not in this build") {
            Artifact(Fixture.push("tflite"), "tflite", delegate = "gpu").open()
        }
    }

    @Test
    fun aModelLargerThanMemoryIsNotEvenOpened() {
        val file = Fixture.files.resolve("big.onnx")
        RandomAccessFile(file, "rw").use { it.setLength(1L shl 40) } // holes, not a terabyte
        Fixture.failure("ChildMemory", "MB of memory are free") { Artifact(file, "onnx").open() }
        file.delete()
    }

    @Test
    fun whoRunsAModelForACameraHasRoomOnItsStack() {
        fun deep(n: Int): Int = if (n == 0) 0 else 1 + deep(n - 1)
        val looper = modelLooper()
        val reached = ArrayBlockingQueue<Int>(1)
        Handler(looper).post { reached.put(runCatching { deep(50_000) }.getOrDefault(-1)) }
        assertEquals(50_000, reached.take()) // 1 MB ends at some 10 000
        looper.quit()
    }
}
