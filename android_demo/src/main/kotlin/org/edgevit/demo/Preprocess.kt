package org.edgevit.demo

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.round // to the even one of two, as Python
import org.json.JSONArray
import org.json.JSONObject

/** From a picture to the model's input, step by step as edgevit/preprocess.py takes them. */
class Preprocess(
    val height: Int,
    val width: Int,
    val cropFraction: Double,
    val interpolation: String,
    val mean: List<Double>,
    val std: List<Double>,
    val channels: String,
    val embedded: Boolean,
    val cropMode: String,
) {
    init {
        val count = if (channels == "L") 1 else 3
        val sound =
            height > 0 &&
                width > 0 &&
                cropFraction > 0 &&
                cropFraction <= 1 &&
                channels in listOf("RGB", "L") &&
                cropMode in listOf("center", "squash", "border") &&
                interpolation in
                    listOf("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming") &&
                mean.size == count &&
                std.size == count &&
                std.all { it > 0 }
        if (!sound) {
            throw Failure(
                "ArtifactError",
                "the card's preprocessing means nothing to this app; get a newer one",
            )
        }
    }

    /** What the model's input shows of `picture`, before it is normalised. */
    fun shown(picture: Pixels): Pixels {
        val resized = resized(if (channels == "L") picture.grey() else picture)
        val canvas =
            if (resized.width >= width && resized.height >= height) resized
            else { // "border"
                resized.padded(
                    max(width, resized.width),
                    max(height, resized.height),
                    mean.map { round(255 * it).toInt() },
                )
            }
        val left = round((canvas.width - width) / 2.0).toInt()
        val top = round((canvas.height - height) / 2.0).toInt()
        return canvas.crop(left, top, width, height)
    }

    /** The input, [channels, height, width]: normalised, or 0..255 when `embedded`. */
    fun input(shown: Pixels): FloatArray {
        val plane = height * width
        val count = shown.channels
        return FloatArray(count * plane) {
            val channel = it / plane
            val value = (shown.values[it % plane * count + channel].toInt() and 255).toFloat()
            if (embedded) value
            else (value / 255f - mean[channel].toFloat()) / std[channel].toFloat()
        }
    }

    private fun resized(picture: Pixels): Pixels {
        var tall = floor(height / cropFraction).toInt()
        var wide = floor(width / cropFraction).toInt()
        if (
            cropMode == "center" && tall == wide
        ) { // the long side is cut, not rounded, and only here
            val short = min(picture.width, picture.height)
            val side = tall
            fun scaled(n: Int) = if (n == short) side else (side.toDouble() * n / short).toInt()
            wide = scaled(picture.width)
            tall = scaled(picture.height)
        } else if (cropMode != "squash") {
            val ratios = listOf(picture.height.toDouble() / tall, picture.width.toDouble() / wide)
            val ratio = if (cropMode == "center") ratios.min() else ratios.max()
            wide = max(1, round(picture.width / ratio).toInt())
            tall = max(1, round(picture.height / ratio).toInt())
        }
        if (wide.toLong() * tall > MAX_PIXELS) {
            throw Failure(
                "InputError",
                "a picture of ${picture.width}×${picture.height} is too thin; crop it first",
            )
        }
        return picture.resized(wide, tall, interpolation)
    }

    companion object {
        const val MAX_PIXELS = 100_000_000L

        /** From a card's "preprocess"; JSONException for one that lacks something. */
        fun from(json: JSONObject) =
            Preprocess(
                json.getInt("height"),
                json.getInt("width"),
                json.getDouble("crop_fraction"),
                json.getString("interpolation"),
                json.getJSONArray("mean").doubles(),
                json.getJSONArray("std").doubles(),
                json.getString("channels"),
                json.getBoolean("embedded"),
                json.getString("crop_mode"),
            )

        private fun JSONArray.doubles() = List(length()) { getDouble(it) }
    }
}
