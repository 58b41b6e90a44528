package org.edgevit.demo

import android.content.Intent
import android.content.pm.PackageManager
import android.content.res.Configuration
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.net.Uri
import android.view.View
import android.widget.Button
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView
import java.io.File
import java.io.RandomAccessFile
import org.json.JSONArray
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

/**
 * A person chooses a model and a picture; whatever is wrong with them is a message, never a crash.
 */
@RunWith(RobolectricTestRunner::class)
class MainActivityTest {
    private val activities = mutableListOf<ActivityController<MainActivity>>()
    private val activity
        get() = activities.last().get()

    private val message
        get() = text(R.id.message)

    @Before
    fun camera() =
        shadowOf(Fixture.context.packageManager)
            .setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, true)

    @Test
    fun classifiesAndKeepsItThroughARotation() {
        Fixture.push("onnx")
        open()
        show("temple.jpg")
        val rows = top()
        assertEquals(5, rows.size)
        assertTrue(rows.first().matches(Regex("Number 1: \\w+, \\d+\\.\\d %")))
        assertTrue(text(R.id.latency).startsWith("Model "))
        assertTrue(text(R.id.about), text(R.id.about).startsWith("fp32 kernels"))
        val turned =
            Configuration(activity.resources.configuration).apply {
                orientation = Configuration.ORIENTATION_LANDSCAPE
            }
        val before = activity
        activities.last().configurationChange(turned)
        assertTrue(activity !== before)
        assertEquals(rows, top())
    }

    @Test
    fun everyControlHasAName() {
        Fixture.push("onnx")
        open()
        for (id in
            listOf(R.id.gallery, R.id.camera, R.id.live, R.id.picture, R.id.artifact, R.id.busy)) {
            assertTrue(activity.findViewById<View>(id).contentDescription.isNotEmpty())
        }
    }

    @Test
    fun withoutAModelItSaysWhereToPutOne() {
        open()
        assertTrue(message, "Push one and its card" in message)
        show("temple.jpg")
        assertEquals(0, top().size)
    }

    @Test
    fun badModels() {
        Fixture.push("onnx", "another") { getJSONObject("artifact").put("sha256", "0".repeat(64)) }
        val text = Fixture.files.resolve("text").apply { writeText("no model") }
        Fixture.push("onnx", "broken") { getJSONObject("artifact").put("sha256", sha256Of(text)) }
            .writeText("no model")
        Fixture.push("onnx", "wider") { getJSONObject("preprocess").put("width", 33) }
        Fixture.push("onnx", "cardless").let { File(it.path + ".json").delete() }
        Fixture.push("onnx", "garbled").let { File(it.path + ".json").writeText("{\"schema\": 1}") }
        Fixture.push("onnx", "huge").let { file ->
            RandomAccessFile(file, "rw").use { it.setLength(1L shl 40) }
        }
        Fixture.push("onnx", "newer") { put("schema", 2) }
        Fixture.push("onnx", "torch") { put("target", "executorch") }
        Fixture.push("onnx", "words") { put("preprocess", null as Any?) }
        open()
        for ((name, words) in
            listOf(
                "another" to "its SHA-256 differs",
                "broken" to "was not loaded",
                "cardless" to "there is no card",
                "garbled" to "is not an edgevit card",
                "huge" to "MB of memory are free",
                "newer" to "get a newer app",
                "torch" to "ExecuTorch's library is not in this build",
                "wider" to "does not take the picture",
                "words" to "says nothing of pictures",
            )) {
            choose("$name.onnx")
            assertTrue("$name: $message", words in message)
        }
        Fixture.files.resolve("huge.onnx").delete()
    }

    @Test
    fun missingLabelsLeaveNumbers() {
        Fixture.push("onnx") { put("labels", null as Any?) }
        Fixture.push("onnx", "few") { put("labels", JSONArray(listOf("one"))) }
        open()
        choose("net.onnx")
        show("temple.jpg")
        assertTrue(message, "has no labels" in message)
        assertTrue(top().first(), "class " in top().first())
        choose("few.onnx")
        assertTrue(message, "1 labels for 6 classes" in message)
    }

    @Test
    fun badPictures() {
        Fixture.push("onnx")
        open()
        show("net.onnx")
        assertTrue(message, "not a picture" in message)
        show("gone.jpg") // FileNotFoundException
        assertTrue(message, "the picture was not read" in message && top().isEmpty())
        show("huge.png")
        assertTrue(message, "read at 1/4" in message)
        assertEquals(5, top().size)
    }

    @Test
    fun aCameraThatMayNotBeUsedOrIsNotThere() {
        open()
        activity.findViewById<Button>(R.id.live).performClick()
        assertEquals(
            listOf("android.permission.CAMERA"),
            shadowOf(activity).lastRequestedPermission.requestedPermissions.toList(),
        )
        activity.onRequestPermissionsResult(
            MainActivity.LIVE,
            arrayOf("android.permission.CAMERA"),
            intArrayOf(-1),
        )
        assertTrue(message, "was not allowed" in message)
        shadowOf(Fixture.context.packageManager)
            .setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, false)
        activity.findViewById<Button>(R.id.camera).performClick()
        assertTrue(message, "has no camera" in message)
        val live = Robolectric.buildActivity(LiveActivity::class.java).setup()
        Fixture.await("a message") {
            "camera" in live.get().findViewById<TextView>(R.id.message).text
        }
        live.pause().stop().destroy()
    }

    /**
     * Drawn into screen-*.png, to be looked at; and the little that can be held without looking.
     */
    @Test
    fun lightDarkTurnedAndLarge() {
        Fixture.push("onnx")
        val grounds =
            mapOf(
                    "light" to "+w411dp-h891dp-port-notnight-xhdpi",
                    "dark" to "+night",
                    "land" to "+w891dp-h411dp-land-notnight",
                    "large" to "+w411dp-h891dp-port",
                )
                .mapValues { (name, qualifiers) ->
                    RuntimeEnvironment.setQualifiers(qualifiers)
                    RuntimeEnvironment.setFontScale(if (name == "large") 2f else 1f)
                    open()
                    show("temple.jpg")
                    drawn("screen-$name.png").getPixel(5, 5)
                }
        assertTrue(Color.luminance(grounds["light"]!!) > 0.8)
        assertTrue(Color.luminance(grounds["dark"]!!) < 0.1)
        for (id in listOf(R.id.gallery, R.id.camera, R.id.live)) {
            assertEquals(1, activity.findViewById<Button>(id).lineCount)
        }
        val sheet = activity.findViewById<View>(R.id.top).parent as View
        assertTrue(sheet.height > (sheet.parent as View).height) // of a ScrollView
    }

    private fun drawn(name: String): Bitmap {
        val view = activity.window.decorView
        val drawn = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(drawn))
        Fixture.file(name).outputStream().use { drawn.compress(Bitmap.CompressFormat.PNG, 100, it) }
        return drawn
    }

    private fun open() {
        activities += Robolectric.buildActivity(MainActivity::class.java).setup()
        settled()
    }

    private fun choose(name: String) {
        val spinner = activity.findViewById<Spinner>(R.id.artifact)
        spinner.setSelection(
            List(spinner.count) { spinner.getItemAtPosition(it) as String }.indexOf(name)
        )
        settled()
    }

    private fun show(name: String) {
        val uri = Uri.parse("content://pictures/$name")
        shadowOf(activity.contentResolver).registerInputStreamSupplier(uri) {
            Fixture.file(name).inputStream()
        }
        deliver(Intent().setData(uri))
    }

    private fun deliver(data: Intent) {
        activity.findViewById<Button>(R.id.gallery).performClick()
        val asked = shadowOf(activity).nextStartedActivityForResult
        assertEquals(Intent.ACTION_GET_CONTENT, asked.intent.action)
        shadowOf(activity).receiveResult(asked.intent, android.app.Activity.RESULT_OK, data)
        settled()
    }

    private fun settled() {
        shadowOf(android.os.Looper.getMainLooper()).idle()
        Fixture.await("an answer") {
            activity.findViewById<View>(R.id.busy).visibility == View.INVISIBLE
        }
    }

    private fun top() =
        activity.findViewById<LinearLayout>(R.id.top).let { list ->
            List(list.childCount) { list.getChildAt(it).contentDescription.toString() }
        }

    private fun text(id: Int) = activity.findViewById<TextView>(id).text.toString()
}
