package org.edgevit.demo

/** A picture as 8-bit values, row by row, the channels of a pixel side by side. */
class Pixels(val width: Int, val height: Int, val channels: Int, val values: ByteArray) {
    constructor(
        width: Int,
        height: Int,
        channels: Int,
    ) : this(width, height, channels, ByteArray(width * height * channels))

    /** The part that begins at (left, top); all of it must lie within. */
    fun crop(left: Int, top: Int, width: Int, height: Int): Pixels {
        val cut = Pixels(width, height, channels)
        for (y in 0 until height) {
            val from = ((top + y) * this.width + left) * channels
            values.copyInto(cut.values, y * width * channels, from, from + width * channels)
        }
        return cut
    }

    /** In the middle of a canvas at least as large, the rest of which is `fill`. */
    fun padded(width: Int, height: Int, fill: List<Int>): Pixels {
        val canvas = Pixels(width, height, channels)
        for (i in canvas.values.indices) canvas.values[i] = fill[i % channels].toByte()
        val left = (width - this.width) / 2
        val top = (height - this.height) / 2
        for (y in 0 until this.height) {
            val from = y * this.width * channels
            values.copyInto(
                canvas.values,
                ((top + y) * width + left) * channels,
                from,
                from + this.width * channels,
            )
        }
        return canvas
    }

    /** Turned upright, as an EXIF orientation of 1 to 8 says how it lies. */
    fun upright(orientation: Int): Pixels {
        if (orientation !in 2..8) return this
        val swapped = orientation >= 5
        val turned =
            if (swapped) Pixels(height, width, channels) else Pixels(width, height, channels)
        for (y in 0 until turned.height) for (x in 0 until turned.width) {
            val (u, v) = if (swapped) y to x else x to y
            val fromX = if (orientation in listOf(2, 3, 7, 8)) width - 1 - u else u
            val fromY = if (orientation in listOf(3, 4, 6, 7)) height - 1 - v else v
            val from = (fromY * width + fromX) * channels
            values.copyInto(turned.values, (y * turned.width + x) * channels, from, from + channels)
        }
        return turned
    }

    /** One channel of luma, in the fixed arithmetic with which Pillow makes it. */
    fun grey(): Pixels {
        if (channels == 1) return this
        val grey = Pixels(width, height, 1)
        for (i in grey.values.indices) {
            val (r, g, b) = List(3) { values[3 * i + it].toInt() and 255 }
            grey.values[i] = ((r * 19595 + g * 38470 + b * 7471 + 0x8000) shr 16).toByte()
        }
        return grey
    }
}
