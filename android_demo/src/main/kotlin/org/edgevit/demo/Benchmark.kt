package org.edgevit.demo

import android.content.Context
import android.util.Log
import java.io.File
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.Random
import java.util.TimeZone
import org.json.JSONArray
import org.json.JSONObject

/**
 * Does the job in `folder` and leaves result.json there, whatever happens.
 *
 * All items are loaded and warmed up; then each round takes a block of every one, in an order of
 * its own, so that what slows the phone for a while slows all alike. The first item runs once more
 * as another: the control, which ought to be no faster.
 */
class Benchmark(private val context: Context, private val folder: File, private val files: File) {
    /** Set from outside to end the job before its time, with this as its error. */
    @Volatile var stopped: Failure? = null

    /** Told each line of progress.txt. */
    @Volatile var onProgress: (String) -> Unit = {}
    private val result = JSONObject().put("version", 1).put("token", folder.name)

    fun run() {
        try {
            result.put("facts", Device.facts(context)).put("started", now())
            val job = Job.read(folder, files)
            if (job.isProfile) profile(job) else answer(job)
            stopped?.let { throw it }
            result.put("error", JSONObject.NULL)
        } catch (e: Throwable) {
            result.remove("items")
            result.put("error", Failure.of(e, "the job failed").json())
        }
        try {
            write(folder.resolve("result.json"), result.toString())
        } catch (e: Exception) { // there is nowhere left to say it but the log
            Log.e("edgevit", "no result for ${folder.name}", e)
        }
    }

    private fun profile(job: Job) {
        val subjects =
            (job.items + if (job.control) job.items.take(1) else emptyList()).map(::Subject)
        try {
            val random = Random(job.seed)
            for (subject in subjects.shuffled(random)) {
                say("load ${subject.label}")
                subject.attempt { open(job.seed) }
            }
            for (subject in subjects) {
                say("warm up ${subject.label}")
                subject.attempt { warmUp(job.warmupS, job.blockS) }
            }
            val begin = System.nanoTime()
            val seconds = { (System.nanoTime() - begin) / 1e9 }
            val state = { Device.state(context).put("seconds", seconds()) }
            val states = mutableListOf(state())
            val last = 60 * job.minutes
            var round = 0
            while (if (last > 0) round == 0 || seconds() < last else round < job.rounds) {
                if (subjects.all { it.error != null }) break
                round++
                if (last > 0) say("sustained, s ${seconds().toInt()}/${last.toInt()}")
                else say("measure $round/${job.rounds}")
                Thread.sleep((1000 * job.cooldownS).toLong())
                subjects.shuffled(random).forEach { it.attempt { oneRound() } }
                states += state()
            }
            result.put("state", JSONArray(states))
        } finally {
            subjects.forEach { it.close() }
        }
        val control = subjects.last().takeIf { job.control && it.error == null }
        result
            .put("items", JSONArray(subjects.take(job.items.size).map { it.json() }))
            .put("control_s", control?.rounds ?: JSONArray())
    }

    private fun answer(job: Job) {
        val subject = Subject(job.items.single())
        val rows = JSONArray()
        say("load ${subject.label}")
        subject.attempt { open(job.seed) }
        for (row in 0 until job.rows) {
            say("run ${row + 1}/${job.rows}")
            subject.attempt {
                val inputs =
                    generateSequence(0) { it + 1 }
                        .map { folder.resolve("input-$row-$it.bin") }
                        .takeWhile { it.exists() }
                        .map { it.readBytes() }
                        .toList()
                val outputs = answer(inputs)
                outputs.forEachIndexed { i, bytes ->
                    folder.resolve("output-$row-$i.bin").writeBytes(bytes)
                }
                rows.put(JSONArray(outputs.indices.map { "output-$row-$it.bin" }))
            }
        }
        subject.close()
        val item = subject.json()
        if (subject.error == null) item.put("outputs_of_rows", rows)
        result.put("items", JSONArray(listOf(item))).put("control_s", JSONArray())
    }

    /** Where it stands; and where it ends, if that was asked for. */
    private fun say(line: String) {
        stopped?.let { throw it }
        write(folder.resolve("progress.txt"), line + "\n")
        onProgress(line)
    }

    companion object {
        /** Written beside and renamed: whoever sees the file sees all of it. */
        fun write(file: File, text: String) {
            val part = File(file.path + ".part")
            part.writeText(text)
            if (!part.renameTo(file))
                throw Failure("OutputError", "$file cannot be written; is the storage full?")
        }

        private fun now(): String =
            SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss+00:00", Locale.ROOT)
                .apply { timeZone = TimeZone.getTimeZone("UTC") }
                .format(Date())
    }
}

fun Failure.json(): JSONObject = JSONObject().put("kind", kind).put("message", message)
