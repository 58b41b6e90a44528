package org.edgevit.demo

import android.content.Intent
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner

/**
 * Jobs come in as files and go out as files: figures where there are some, a sentence where not.
 */
@RunWith(RobolectricTestRunner::class)
class BenchmarkTest {
    @Test
    fun goesOnForMinutes() {
        Fixture.push("onnx")
        val job = job("profile", listOf(item("net.onnx", "onnx"))).put("minutes", 0.01)
        val result = done(job.put("warmup_s", 0.02).put("block_s", 0.01).put("rounds", 1))
        val states = result.getJSONArray("state").objects()
        assertTrue(states.size > 1 && states.last().getDouble("seconds") >= 0.6)
        val rounds = result.getJSONArray("items").getJSONObject(0).getJSONArray("rounds_s")
        assertEquals(states.size - 1, rounds.length())
    }

    @Test
    fun profilesSideBySide() {
        val suffixes =
            listOf("onnx") +
                if (System.getProperty("edgevit.tflite") == "true") listOf("tflite")
                else emptyList()
        suffixes.forEach { Fixture.push(it) }
        Fixture.files.resolve("broken.onnx").writeText("no model")
        val items =
            (suffixes.map { item("net.$it", it) } +
                item("broken.onnx", "onnx") +
                item("absent.onnx", "onnx"))
        val result =
            done(job("profile", items).put("rounds", 3).put("warmup_s", 0.02).put("block_s", 0.002))
        assertTrue(result.isNull("error"))
        assertEquals("loopback JVM, not a phone", result.getJSONObject("facts").getString("place"))
        assertEquals(4, result.getJSONArray("state").length()) // before, and after each of 3
        val found = result.getJSONArray("items").objects()
        for (item in found.take(suffixes.size)) {
            assertTrue(item.toString(), item.isNull("error"))
            val blocks =
                item.getJSONArray("rounds_s").let { all -> List(3) { all.getJSONArray(it) } }
            assertTrue(blocks.all { it.length() == blocks[0].length() && it.getDouble(0) > 0 })
            assertTrue(item.getJSONArray("warmups_s").length() > 0 && item.getDouble("load_s") > 0)
            assertTrue(
                item.getDouble("timed_s") >=
                    blocks.sumOf { block -> List(block.length()) { block.getDouble(it) }.sum() } *
                        0.999
            )
            assertEquals(
                "[1,3,32,32]",
                item.getJSONArray("inputs").getJSONObject(0).getJSONArray("shape").toString(),
            )
            assertEquals(
                "float32",
                item.getJSONArray("outputs").getJSONObject(0).getString("dtype"),
            )
        }
        assertEquals(3, result.getJSONArray("control_s").length())
        assertEquals("ArtifactError", found[suffixes.size].getJSONObject("error").getString("kind"))
        assertTrue("push it again" in found.last().getJSONObject("error").getString("message"))
    }

    @Test fun runsOnnxOnWhatIsPushed() = runs("onnx")

    @Test fun runsTfliteOnWhatIsPushed() = runs("tflite")

    private fun runs(suffix: String) {
        Fixture.assumeRuns(suffix)
        val prepare = Card.beside(Fixture.push(suffix)).preprocess!!
        val input = prepare.input(prepare.shown(Fixture.photograph()))
        val bytes =
            ByteBuffer.allocate(4 * input.size).order(ByteOrder.LITTLE_ENDIAN).also {
                it.asFloatBuffer().put(input)
            }
        val asked = job("run", listOf(item("net.$suffix", suffix))).put("rows", 2)
        val result =
            done(asked) { folder ->
                repeat(2) { folder.resolve("input-$it-0.bin").writeBytes(bytes.array()) }
            }
        val item = result.getJSONArray("items").getJSONObject(0)
        assertTrue(item.toString(), item.isNull("error"))
        assertEquals(
            """[["output-0-0.bin"],["output-1-0.bin"]]""",
            item.getJSONArray("outputs_of_rows").toString(),
        )
        val raw =
            Fixture.files.resolve("jobs/${asked.getString("token")}/output-1-0.bin").readBytes()
        val found =
            FloatArray(6).also {
                ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(it)
            }
        assertArrayEquals(Fixture.floats("net.$suffix.logits"), found, 1e-5f)
        val short = job("run", listOf(item("net.$suffix", suffix)))
        val refused = done(short) { it.resolve("input-0-0.bin").writeBytes(ByteArray(8)) }
        assertTrue(
            "8 were given" in
                refused
                    .getJSONArray("items")
                    .getJSONObject(0)
                    .getJSONObject("error")
                    .getString("message")
        )
    }

    @Test
    fun aBadJobIsAnsweredToo() {
        fun refused(job: JSONObject) = done(job).getJSONObject("error").getString("message")
        val net = item("net.onnx", "onnx")
        assertTrue(
            "lies outside" in refused(job("profile", listOf(item("../../secret.onnx", "onnx"))))
        )
        assertTrue("names no artifact" in refused(job("profile", emptyList())))
        assertTrue("at least 1" in refused(job("profile", listOf(net)).put("threads", 0)))
        assertTrue("of version 9" in refused(job("profile", listOf(net)).put("version", 9)))
        assertTrue("\"dance\"" in refused(job("dance", listOf(net))))
        assertTrue("is not a job" in refused(job("profile", listOf(net)).put("items", 3)))
    }

    @Test
    fun leftByItsUserItSaysSo() {
        val folder = folder(job("profile", listOf(item(Fixture.push("onnx").name, "onnx"))))
        val activity =
            Robolectric.buildActivity(BenchmarkActivity::class.java, intent(folder.name))
                .create()
                .start()
        activity.stop() // a lock screen covers it before it was ever in front
        Fixture.await("a result") { folder.resolve("result.json").exists() }
        val error = JSONObject(folder.resolve("result.json").readText()).getJSONObject("error")
        assertEquals("DeviceError", error.getString("kind"))
        assertTrue(activity.get().isFinishing)
    }

    @Test
    fun withoutAJobItOnlyEnds() {
        for (token in listOf(null, "", "../../etc", "nosuchtoken")) {
            val activity =
                Robolectric.buildActivity(BenchmarkActivity::class.java, intent(token))
                    .setup()
                    .get()
            assertTrue(activity.isFinishing)
        }
    }

    private fun item(file: String, target: String) =
        JSONObject().put("file", file).put("target", target).put("delegate", "cpu")

    private fun job(kind: String, items: List<JSONObject>) =
        JSONObject()
            .put("version", 1)
            .put("token", "t${System.nanoTime()}")
            .put("job", kind)
            .put("items", JSONArray(items))

    private fun folder(job: JSONObject) =
        Fixture.files.resolve("jobs/${job.getString("token")}").apply {
            mkdirs()
            resolve("job.json").writeText(job.toString())
        }

    private fun intent(token: String?) = Intent().putExtra("job", token)

    private fun done(job: JSONObject, prepare: (java.io.File) -> Unit = {}): JSONObject {
        val folder = folder(job).also(prepare)
        val activity =
            Robolectric.buildActivity(BenchmarkActivity::class.java, intent(folder.name)).setup()
        Fixture.await("the end of the activity") { activity.get().isFinishing }
        assertFalse(folder.resolve("result.json.part").exists())
        return JSONObject(folder.resolve("result.json").readText()).also {
            assertEquals(folder.name, it.getString("token"))
        }
    }
}
