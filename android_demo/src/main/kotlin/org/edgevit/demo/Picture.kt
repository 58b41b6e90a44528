package org.edgevit.demo

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Color
import android.media.ExifInterface
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer

/** A picture as it was stored. reduced: by how much its sides were divided to fit into memory. */
class Picture(val pixels: Pixels, val reduced: Int)

private const val MOST_PIXELS = 24_000_000L // read whole; beyond, every second or fourth

/**
 * The upright picture that `open` gives the bytes of, with its values as they are stored: neither
 * converted to another colour space nor multiplied by its alpha, since Pillow does neither.
 *
 * open: called more than once, as a stream can be read only once.
 */
fun readPicture(open: () -> InputStream?): Picture {
    fun stream() =
        open() ?: throw Failure("InputError", "the picture cannot be opened; choose another")
    val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
    stream().use { BitmapFactory.decodeStream(it, null, bounds) }
    if (bounds.outWidth <= 0 || bounds.outHeight <= 0) throw unreadable()
    val options =
        BitmapFactory.Options().apply {
            inPremultiplied = false
            inPreferredConfig = Bitmap.Config.ARGB_8888
            inPreferredColorSpace = bounds.outColorSpace
            inSampleSize = 1
        }
    while (
        bounds.outWidth.toLong() * bounds.outHeight / options.inSampleSize / options.inSampleSize >
            MOST_PIXELS
    ) {
        options.inSampleSize *= 2
    }
    while (true) {
        try {
            val bitmap =
                stream().use { BitmapFactory.decodeStream(it, null, options) } ?: throw unreadable()
            val pixels = pixelsOf(bitmap)
            bitmap.recycle()
            return Picture(pixels.upright(stream().use(::orientation)), options.inSampleSize)
        } catch (e: OutOfMemoryError) {
            if (options.inSampleSize >= 64) throw Failure.of(e, "the picture was not read")
            options.inSampleSize *= 2
        }
    }
}

/** RGB of a bitmap with 8 bits a channel, straight from its memory: `getPixels` would convert. */
fun pixelsOf(bitmap: Bitmap): Pixels {
    if (bitmap.config != Bitmap.Config.ARGB_8888) {
        throw Failure(
            "InputError",
            "the picture has ${bitmap.config} in place of 8 bits a channel; save it anew",
        )
    }
    val raw = ByteBuffer.allocate(bitmap.byteCount)
    bitmap.copyPixelsToBuffer(raw)
    val pixels = Pixels(bitmap.width, bitmap.height, 3)
    val bytes = raw.array()
    var to = 0
    for (y in 0 until bitmap.height) {
        var from = y * bitmap.rowBytes
        repeat(bitmap.width) {
            for (place in PLACES) pixels.values[to++] = bytes[from + place]
            from += 4
        }
    }
    return pixels
}

/** Where red, green and blue lie in a pixel's memory: not everywhere in that order. */
private val PLACES by lazy {
    val blue = ByteBuffer.allocate(4)
    Bitmap.createBitmap(intArrayOf(Color.BLUE), 1, 1, Bitmap.Config.ARGB_8888)
        .copyPixelsToBuffer(blue)
    if (blue[0] == 0.toByte()) intArrayOf(0, 1, 2) else intArrayOf(2, 1, 0)
}

/** To be seen: the bitmap of `pixels`, of one channel or three. */
fun bitmapOf(pixels: Pixels): Bitmap {
    val step = pixels.channels
    val colors =
        IntArray(pixels.width * pixels.height) {
            fun channel(c: Int) = pixels.values[it * step + c % step].toInt() and 255
            (0xff shl 24) or (channel(0) shl 16) or (channel(1) shl 8) or channel(2)
        }
    return Bitmap.createBitmap(colors, pixels.width, pixels.height, Bitmap.Config.ARGB_8888)
}

private fun orientation(stream: InputStream): Int =
    try {
        ExifInterface(stream).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1)
    } catch (e: IOException) {
        1 // a format without it
    }

private fun unreadable() =
    Failure("InputError", "this is not a picture that can be read; choose another")
