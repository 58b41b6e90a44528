package org.edgevit.demo

import androidx.test.platform.app.InstrumentationRegistry
import kotlin.math.exp
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

/** The embedded artifact scores golden.png here as it did where `edgevit embed` was run. */
class GoldenTest {
    @Test
    fun scoresTheGoldenPictureAsEdgevitDid() {
        val golden = JSONObject(resource("golden.json").bufferedReader().readText())
        val context = InstrumentationRegistry.getInstrumentation().targetContext
        val picture = readPicture { resource("golden.png") }.pixels
        val file = unpacked(context, "artifacts/${golden.getString("artifact")}")
        val found = Classifier(file).use { it.classify(picture) }.top
        val expected = golden.getJSONArray("top").objects()
        assertEquals(expected.size, found.size)
        val best = golden.getJSONArray("best") // more than one where the tolerance leaves it open
        val first = found.first().label
        assertTrue("the best class is $first, not $best", first in List(best.length(), best::get))
        // A score that is off by t moves the logarithm of no probability by more than 2 t.
        val factor = exp(2 * golden.getDouble("tolerance"))
        for ((rank, entry) in expected.withIndex()) {
            val (mine, its) = found[rank].probability to entry.getDouble("probability")
            assertTrue(
                "probability $mine of ${found[rank].label} in place of $its",
                mine <= its * factor && its <= mine * factor,
            )
        }
    }

    private fun resource(name: String) = javaClass.getResourceAsStream(name)!!
}
