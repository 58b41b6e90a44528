package org.edgevit.demo

import android.os.Looper
import java.util.concurrent.ArrayBlockingQueue
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

private const val STACK = 8L shl 20 // ONNX Runtime overflowed 1 MB, which threads have, with some nets

private fun thread(work: Runnable) = Thread(null, work, "model", STACK)

/** One thread for a model, to load it and to run it. */
fun modelThread(): ExecutorService = Executors.newSingleThreadExecutor(::thread)

/** The same for who is called through a Handler; it ends with the looper. */
fun modelLooper(): Looper {
    val made = ArrayBlockingQueue<Looper>(1)
    thread {
        Looper.prepare()
        made.put(Looper.myLooper()!!)
        Looper.loop()
    }.start()
    return made.take()
}
