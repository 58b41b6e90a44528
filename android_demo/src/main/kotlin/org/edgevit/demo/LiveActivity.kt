package org.edgevit.demo

import android.app.Activity
import android.os.Bundle
import android.view.View
import android.view.WindowManager
import android.widget.ImageView
import android.widget.TextView

/** The camera's frames, each classified, and how many of them a second. */
class LiveActivity : Activity() {
    private var feed: CameraFeed? = null

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        setContentView(R.layout.live)
        findViewById<View>(R.id.picture).clipToOutline = true // rounded
    }

    override fun onStart() {
        super.onStart()
        @Suppress("DEPRECATION") // its successor is of API 30
        val turned = windowManager.defaultDisplay.rotation * 90
        val seen = Seen(intent.getStringExtra(ARTIFACT))
        feed = CameraFeed(applicationContext, turned, seen::frame, ::failed, seen::close)
    }

    override fun onStop() {
        super.onStop()
        feed?.close()
        feed = null
    }

    private fun failed(failure: Failure) = runOnUiThread { text(R.id.message, failure.message) }

    private fun text(id: Int, text: String) =
        findViewById<TextView>(id).let {
            it.text = text
            it.visibility = if (text.isEmpty()) View.GONE else View.VISIBLE
        }

    /** What happens on the feed's thread, where the artifact is opened, used and closed. */
    private inner class Seen(private val artifact: String?) {
        private var classifier: Classifier? = null
        private var failure: Failure? = null
        private val ends = ArrayDeque<Long>() // of the last second or so

        fun frame(frame: Pixels) {
            val answer =
                try {
                    val name =
                        artifact ?: throw Failure("InputError", getString(R.string.no_artifacts))
                    failure?.let { throw it } // once is enough
                    val opened =
                        classifier
                            ?: Classifier(
                                Artifacts.file(applicationContext, name),
                                MainSession.THREADS,
                            )
                    classifier = opened
                    opened.classify(frame)
                } catch (e: Throwable) {
                    failure = Failure.of(e, "the frame was not classified")
                    null
                }
            ends += System.nanoTime()
            while (ends.size > 31) ends.removeFirst()
            val rate = 1e9 * (ends.size - 1) / (ends.last() - ends.first()).coerceAtLeast(1)
            val seen = bitmapOf(frame)
            runOnUiThread {
                findViewById<ImageView>(R.id.picture).setImageBitmap(seen)
                findViewById<TopView>(R.id.top).show(answer?.top.orEmpty())
                text(R.id.message, failure?.message ?: classifier?.note.orEmpty())
                text(
                    R.id.latency,
                    answer
                        ?.let {
                            getString(R.string.live_latency, rate, it.inferredMs, it.preparedMs)
                        }
                        .orEmpty(),
                )
            }
        }

        fun close() {
            classifier?.close()
        }
    }

    companion object {
        const val ARTIFACT = "artifact"
    }
}
