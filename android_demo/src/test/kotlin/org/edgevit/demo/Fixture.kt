package org.edgevit.demo

import android.app.Application
import android.os.Looper
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.json.JSONObject
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf

/** What fixtures.py has made with edgevit, and a phone's folder to put it in. */
object Fixture {
    private val folder by lazy { File(System.getProperty("edgevit.fixtures")!!) }
    val context: Application
        get() = RuntimeEnvironment.getApplication()

    val files: File
        get() = context.getExternalFilesDir(null)!!

    fun file(name: String) = folder.resolve(name)

    fun floats(name: String): FloatArray {
        val bytes =
            ByteBuffer.wrap(file(name).readBytes()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer()
        return FloatArray(bytes.remaining()).also { bytes.get(it) }
    }

    fun photograph(name: String = "temple.jpg") = readPicture { file(name).inputStream() }.pixels

    /**
     * The net of this suffix and its card, under `name` in the app's files; the card changed by
     * `change`.
     */
    fun push(suffix: String, name: String = "net", change: JSONObject.() -> Unit = {}): File {
        val file = files.resolve("$name.$suffix")
        file("net.$suffix").copyTo(file, overwrite = true)
        val card = JSONObject(file("net.$suffix.json").readText()).apply(change)
        File(file.path + ".json").writeText(card.toString())
        return file
    }

    fun assumeRuns(suffix: String) =
        assumeTrue(
            "TFLite's library needs x86_64 and gcc here",
            suffix != "tflite" || System.getProperty("edgevit.tflite") == "true",
        )

    fun failure(kind: String, words: String, step: () -> Unit) {
        val found = assertThrows(Failure::class.java, step)
        assertTrue("${found.kind}: ${found.message}", found.kind == kind && words in found.message)
    }

    /** Lets the main thread work until `done`, or fails after that many minutes. */
    fun await(what: String, minutes: Int = 2, done: () -> Boolean) {
        val end = System.nanoTime() + minutes * 60_000_000_000
        while (!done()) {
            assertTrue("$what did not come about in $minutes minutes", System.nanoTime() < end)
            Thread.sleep(10)
            shadowOf(Looper.getMainLooper()).idle()
        }
    }
}
