package org.edgevit.demo

import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors

private const val STACK = 8L shl 20 // ONNX Runtime overflowed 1 MB, which threads have, with some nets

/** One thread for a model, to load it and to run it. */
fun modelThread(): ExecutorService = Executors.newSingleThreadExecutor { Thread(null, it, "model", STACK) }
