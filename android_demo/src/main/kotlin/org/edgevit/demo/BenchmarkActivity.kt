package org.edgevit.demo

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import android.util.Log
import android.view.WindowManager
import android.widget.TextView

/**
 * Does the job that `am start --es job TOKEN` names, in sight: only what is in front has all cores.
 *
 * It ends itself when the result is written. Left by its user, or covered by a lock screen, it
 * writes an error instead of figures that were taken behind.
 */
class BenchmarkActivity : Activity() {
    private val worker = modelThread()
    private var waiting: Benchmark? = null // until this is in front
    private var running: Benchmark? = null
    private lateinit var line: TextView

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        setContentView(R.layout.benchmark)
        line = findViewById(R.id.progress)
        waiting = benchmark(intent)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        stop("another job was started in its place")
        waiting = benchmark(intent)
    }

    override fun onResume() {
        super.onResume()
        val next = waiting ?: return if (running == null) finishAndRemoveTask() else Unit
        waiting = null
        running = next
        next.onProgress = { runOnUiThread { line.text = it } }
        worker.execute {
            next.run()
            runOnUiThread { if (running === next) finishAndRemoveTask() }
        }
    }

    override fun onStop() {
        super.onStop()
        stop("the app was not in front: unlock the phone, and leave it alone while it measures")
    }

    override fun onDestroy() {
        super.onDestroy()
        worker.shutdown() // what runs ends by itself, and says so in its result
    }

    private fun stop(why: String) {
        val failure = Failure("DeviceError", why)
        running?.stopped = failure
        waiting?.let { never ->
            never.stopped = failure
            worker.execute(never::run)
            waiting = null
            finishAndRemoveTask()
        }
    }

    private fun benchmark(intent: Intent): Benchmark? {
        val token = intent.getStringExtra("job").orEmpty()
        val files = getExternalFilesDir(null)
        val folder = files?.resolve("jobs/$token")
        if (!Job.TOKEN.matches(token) || folder?.isDirectory != true) {
            Log.e("edgevit", "there is no job \"$token\" in $files/jobs; push it first")
            return null
        }
        return Benchmark(applicationContext, folder, files)
    }
}
