package org.edgevit.demo

import java.nio.ByteBuffer
import kotlin.math.abs
import kotlin.math.roundToInt
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner

/** The input is edgevit's own, to one grey level, for real photographs and every kind of card. */
@RunWith(RobolectricTestRunner::class)
class PreprocessTest {
    @Test
    fun asPythonPreparesIt() {
        for (way in listOf("usual", "squash", "border", "oblong", "grey", "embedded", "larger")) {
            val prepare = Preprocess.from(JSONObject(Fixture.file("$way.way").readText()))
            for (photograph in listOf("temple", "flower")) {
                val found = prepare.input(prepare.shown(Fixture.photograph("$photograph.jpg")))
                val expected = Fixture.floats("$way.$photograph.input")
                assertEquals(expected.size, found.size)
                val plane = prepare.height * prepare.width
                val worst =
                    found.indices.maxOf {
                        val level =
                            if (prepare.embedded) 1.0 else 1 / (255 * prepare.std[it / plane])
                        abs(found[it] - expected[it]) / level
                    }
                println("$way of $photograph: ${(worst * 1000).roundToInt() / 1000.0} grey levels")
                assertTrue("$way of $photograph differs by $worst grey levels", worst < 1.01)
            }
        }
    }

    @Test
    fun turnedUprightAsPillowDoes() {
        for (orientation in 1..8) {
            val found = Fixture.photograph("turned$orientation.jpg")
            val expected = Fixture.file("turned$orientation.rgb").readBytes()
            assertEquals(if (orientation < 5) 160 else 96, found.width)
            val worst =
                expected.indices.maxOf {
                    abs((found.values[it].toInt() and 255) - (expected[it].toInt() and 255))
                }
            assertTrue("orientation $orientation differs by $worst", worst <= 1)
        }
    }

    @Test
    fun aCardThatMeansNothingIsRefused() {
        val way = Fixture.file("usual.way").readText()
        for ((key, value) in
            listOf(
                "crop_mode" to "zoom",
                "interpolation" to "magic",
                "crop_fraction" to 0,
                "height" to -1,
            )) {
            Fixture.failure("ArtifactError", "preprocessing means nothing") {
                Preprocess.from(JSONObject(way).put(key, value))
            }
        }
    }

    @Test
    fun cameraFramesBecomeTheirColours() {
        val red = listOf(76, 85, 255) // Y, U, V of pure red, as JPEG has it
        val planes =
            listOf(
                Plane(bytes(red[0], 4 * 6), 6, 1),
                Plane(bytes(red[1], 2 * 8), 8, 2),
                Plane(bytes(red[2], 2 * 8), 8, 2),
            )
        val picture = rgb(4, 4, planes)
        assertEquals(listOf(254, 0, 0), List(3) { picture.values[it].toInt() and 255 })
        assertEquals(
            listOf(1, 6, 3, 8, 6),
            listOf(0, 90, 180, 270, 450).map(CameraFeed::exifOrientation),
        )
    }

    private fun bytes(value: Int, count: Int) = ByteBuffer.wrap(ByteArray(count) { value.toByte() })
}
