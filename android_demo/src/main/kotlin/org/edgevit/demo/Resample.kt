package org.edgevit.demo

import kotlin.math.abs
import kotlin.math.ceil
import kotlin.math.cos
import kotlin.math.max
import kotlin.math.sin

/**
 * Pillow's resize, so that a phone sees what the host saw: a kernel widened by the factor of
 * reduction (which is what antialiases), rows first and then columns, 8 bits after each, in fixed
 * arithmetic of 22 bits.
 */
fun Pixels.resized(width: Int, height: Int, interpolation: String): Pixels {
    if (width == this.width && height == this.height) return this
    if (interpolation == "nearest") return nearest(width, height)
    val kernel = KERNELS.getValue(interpolation)
    val wide =
        if (width == this.width) this
        else {
            Pixels(width, this.height, channels).also {
                horizontal(Taps(this.width, width, kernel), it)
            }
        }
    return if (height == this.height) wide
    else {
        Pixels(width, height, channels).also {
            wide.vertical(Taps(this.height, height, kernel), it)
        }
    }
}

private const val BITS = 32 - 8 - 2

private class Kernel(val support: Double, val weight: (Double) -> Double)

private val KERNELS =
    mapOf(
        "box" to Kernel(0.5) { if (it > -0.5 && it <= 0.5) 1.0 else 0.0 },
        "bilinear" to Kernel(1.0) { max(0.0, 1 - abs(it)) },
        "hamming" to
            Kernel(1.0) {
                val x = abs(it)
                if (x >= 1) 0.0 else sinc(x) * (0.54 + 0.46 * cos(Math.PI * x))
            },
        "bicubic" to
            Kernel(2.0) {
                val x = abs(it)
                when {
                    x < 1 -> (1.5 * x - 2.5) * x * x + 1
                    x < 2 -> ((-0.5 * x + 2.5) * x - 4) * x + 2
                    else -> 0.0
                }
            },
        "lanczos" to Kernel(3.0) { if (it >= -3 && it < 3) sinc(it) * sinc(it / 3) else 0.0 },
    )

private fun sinc(x: Double) = if (x == 0.0) 1.0 else sin(Math.PI * x) / (Math.PI * x)

/** For each place of the output: where its inputs begin, and their weights in fixed arithmetic. */
private class Taps(size: Int, count: Int, kernel: Kernel) {
    val first = IntArray(count)
    val weights: Array<IntArray>

    init {
        val scale = size.toDouble() / count
        val widened = max(scale, 1.0)
        val support = kernel.support * widened
        check(ceil(support) < Int.MAX_VALUE / 4)
        weights =
            Array(count) { place ->
                val center = (place + 0.5) * scale
                first[place] = max(0, (center - support + 0.5).toInt())
                val end = minOf(size, (center + support + 0.5).toInt())
                val exact =
                    DoubleArray(end - first[place]) {
                        kernel.weight((it + first[place] - center + 0.5) * (1 / widened))
                    }
                val sum = exact.sum()
                IntArray(exact.size) {
                    val share = (if (sum == 0.0) exact[it] else exact[it] / sum) * (1 shl BITS)
                    (if (share < 0) share - 0.5 else share + 0.5).toInt()
                }
            }
    }
}

private fun clipped(sum: Int) = (sum shr BITS).coerceIn(0, 255).toByte()

private fun Pixels.horizontal(taps: Taps, into: Pixels) {
    var to = 0
    for (y in 0 until height) {
        val row = y * width
        for (x in 0 until into.width) {
            val weights = taps.weights[x]
            val begin = (row + taps.first[x]) * channels
            for (c in 0 until channels) {
                var sum = 1 shl (BITS - 1)
                var from = begin + c
                for (weight in weights) {
                    sum += (values[from].toInt() and 255) * weight
                    from += channels
                }
                into.values[to++] = clipped(sum)
            }
        }
    }
}

private fun Pixels.vertical(taps: Taps, into: Pixels) {
    val stride = width * channels
    var to = 0
    for (y in 0 until into.height) {
        val weights = taps.weights[y]
        val begin = taps.first[y] * stride
        for (x in 0 until stride) {
            var sum = 1 shl (BITS - 1)
            var from = begin + x
            for (weight in weights) {
                sum += (values[from].toInt() and 255) * weight
                from += stride
            }
            into.values[to++] = clipped(sum)
        }
    }
}

private fun Pixels.nearest(width: Int, height: Int): Pixels {
    val columns = nearestPlaces(this.width, width)
    val rows = nearestPlaces(this.height, height)
    val taken = Pixels(width, height, channels)
    for (y in 0 until height) for (x in 0 until width) {
        val from = (rows[y] * this.width + columns[x]) * channels
        values.copyInto(taken.values, (y * width + x) * channels, from, from + channels)
    }
    return taken
}

private fun nearestPlaces(size: Int, count: Int): IntArray {
    val step = size.toDouble() / count
    var place = step * 0.5
    return IntArray(count) { minOf(size - 1, place.toInt()).also { place += step } }
}
