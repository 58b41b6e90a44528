package org.edgevit.demo

import android.content.Context
import android.graphics.Bitmap
import android.os.Handler
import android.os.Looper
import java.io.InputStream

/** What MainActivity shows, and the thread that works it out; both outlive a rotation. */
class MainSession(private val context: Context) {
    var artifact: String? = null
        private set

    var card: Card? = null
        private set

    var picture: Bitmap? = null
        private set

    var answer: Answer? = null
        private set

    var message = ""
    var busy = false
        private set

    /** Called on the main thread whenever something above has changed. */
    var onChange: () -> Unit = {}

    private val worker = modelThread()
    private val main = Handler(Looper.getMainLooper())
    private var classifier: Classifier? = null // the worker's
    private var pixels: Pixels? = null // the worker's
    private var notes = ""

    fun choose(name: String) {
        if (name == artifact && (busy || card != null)) return // else it may be sound by now
        artifact = name
        card = null
        answer = null
        work("$name was not opened") {
            classifier?.close()
            classifier = null
            val opened = Classifier(Artifacts.file(context, name), THREADS)
            classifier = opened
            main.post { card = opened.card }
            classify()
        }
    }

    fun show(open: () -> InputStream?) {
        answer = null
        picture = null
        work("the picture was not read") {
            pixels = null
            val read = readPicture(open)
            pixels = read.pixels
            notes =
                if (read.reduced == 1) ""
                else "The picture is very large; it was read at 1/${read.reduced} of its size."
            val seen = bitmapOf(smaller(read.pixels))
            main.post { picture = seen }
            classify()
        }
    }

    fun close() =
        worker.execute {
            classifier?.close()
            worker.shutdown()
        }

    private fun classify() {
        val opened = classifier ?: return
        val found = opened.classify(pixels ?: return)
        main.post {
            answer = found
            message = listOf(notes, opened.note).filter { it.isNotEmpty() }.joinToString("\n")
        }
    }

    private fun work(what: String, step: () -> Unit) {
        busy = true
        message = ""
        onChange()
        worker.execute {
            var failure: Failure? = null
            try {
                step()
            } catch (e: Throwable) {
                failure = Failure.of(e, what)
            }
            main.post {
                busy = false
                failure?.let { message = it.message }
                onChange()
            }
        }
    }

    /** For the screen: no bitmap of 24 million pixels is drawn. */
    private fun smaller(pixels: Pixels): Pixels {
        val factor = maxOf(pixels.width, pixels.height) / 1024.0
        if (factor <= 1) return pixels
        val (width, height) =
            listOf(pixels.width, pixels.height).map { maxOf(1, (it / factor).toInt()) }
        return pixels.resized(width, height, "box")
    }

    companion object {
        val THREADS = minOf(4, Runtime.getRuntime().availableProcessors())
    }
}
