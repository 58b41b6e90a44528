package org.edgevit.demo

import android.content.Intent
import java.io.File
import java.nio.file.Files
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner

/**
 * Not a test: how loopback_app.py starts BenchmarkActivity, with a folder of this machine as its
 * files.
 */
@RunWith(RobolectricTestRunner::class)
class LoopbackApp {
    @Test
    fun run() {
        val files = Fixture.files
        assertTrue(files.deleteRecursively())
        Files.createSymbolicLink(files.toPath(), File(System.getProperty("edgevit.files")).toPath())
        val intent = Intent().putExtra("job", System.getProperty("edgevit.token"))
        val activity = Robolectric.buildActivity(BenchmarkActivity::class.java, intent).setup()
        Fixture.await("the end of the activity", minutes = 60) { activity.get().isFinishing }
    }
}
