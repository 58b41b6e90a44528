package org.edgevit.demo

import java.io.File
import kotlin.math.exp

/** One line of an answer. label: the card's, or the number of the class. */
class Score(val label: String, val probability: Double)

/** shown: what the model saw of the picture. */
class Answer(
    val top: List<Score>,
    val shown: Pixels,
    val preparedMs: Double,
    val inferredMs: Double,
)

/** An artifact opened with its card, checked against it: from pictures to names of classes. */
class Classifier(val file: File, threads: Int = 1) : AutoCloseable {
    val card = Card.beside(file)
    private val preprocess: Preprocess
    private val engine: InferenceEngine

    init {
        val artifact = Artifact(file, card.target, threads, inputs = card.inputs)
        preprocess =
            card.preprocess
                ?: throw Failure(
                    "InputError",
                    "${file.name} says nothing of pictures: its card has no preprocessing",
                )
        artifact.check() // before all its bytes are read for the digest
        card.check(file)
        engine = artifact.open()
        val expected =
            (if (preprocess.channels == "L") 1 else 3) * preprocess.height * preprocess.width
        val found = engine.inputs.singleOrNull()?.takeIf { it.dtype == "float32" }?.count
        if (found != expected) {
            engine.close()
            throw Failure(
                "ArtifactError",
                "${file.name} does not take the picture that its card prepares",
            )
        }
    }

    /** Why numbers stand in place of names, if they do; known after the first answer. */
    var note = ""
        private set

    fun classify(picture: Pixels): Answer {
        val begin = System.nanoTime()
        val shown = preprocess.shown(picture)
        val input = engine.inputs.single()
        input.bytes.rewind()
        input.bytes.asFloatBuffer().put(preprocess.input(shown))
        val prepared = System.nanoTime()
        engine.run()
        val done = System.nanoTime()
        val scores = engine.outputs.first().floats()
        return Answer(top(scores), shown, (prepared - begin) / 1e6, (done - prepared) / 1e6)
    }

    override fun close() = engine.close()

    /** The five most probable classes; of equal ones the first. */
    private fun top(scores: FloatArray): List<Score> {
        if (scores.any { !it.isFinite() }) {
            throw Failure(
                "ArtifactError",
                "${file.name} computed something that is no number; convert it again",
            )
        }
        val named = card.labels.size == scores.size
        note =
            when {
                named -> ""
                card.labels.isEmpty() -> "The card has no labels, so classes are shown as numbers."
                else ->
                    "The card has ${card.labels.size} labels for ${scores.size} classes, " +
                        "so these are shown as numbers."
            }
        val most = scores.max()
        val odds = scores.map { exp((it - most).toDouble()) }
        val sum = odds.sum()
        return odds.indices
            .sortedByDescending { odds[it] }
            .take(5)
            .map { Score(if (named) card.labels[it] else "class $it", odds[it] / sum) }
    }
}
