package org.edgevit.demo

import java.nio.ByteBuffer

/** One plane of a camera's frame: Y, or U or V at half the width and height. */
class Plane(val bytes: ByteBuffer, val rowStride: Int, val pixelStride: Int)

/** RGB of a frame in YUV 4:2:0, full range, as JPEG and Android's cameras have it (BT.601). */
fun rgb(width: Int, height: Int, planes: List<Plane>): Pixels {
    val (luma, blue, red) = planes
    fun Plane.at(x: Int, y: Int) = bytes.get(y * rowStride + x * pixelStride).toInt() and 255
    val picture = Pixels(width, height, 3)
    var to = 0
    for (y in 0 until height) for (x in 0 until width) {
        val l = luma.at(x, y) shl 16
        val u = blue.at(x / 2, y / 2) - 128
        val v = red.at(x / 2, y / 2) - 128
        picture.values[to++] = rounded(l + 91881 * v)
        picture.values[to++] = rounded(l - 22554 * u - 46802 * v)
        picture.values[to++] = rounded(l + 116130 * u)
    }
    return picture
}

private fun rounded(sum: Int) = ((sum + (1 shl 15)) shr 16).coerceIn(0, 255).toByte()
