package org.edgevit.demo

import java.io.File
import java.io.FileNotFoundException
import java.security.MessageDigest
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** What the app needs of the JSON file that edgevit writes beside an artifact. */
class Card private constructor(json: JSONObject) {
    val model: String
    val target: String
    val executes: String
    val sha256: String
    val inputs: List<Port>

    /** Null for a model that takes no pictures. */
    val preprocess: Preprocess?

    /** In the order of the classes; empty where the card has none. */
    val labels: List<String>
    val placement: String

    init {
        if (json.getInt("schema") > SCHEMA) {
            throw Failure(
                "ArtifactError",
                "the card has schema ${json["schema"]}, this app reads $SCHEMA; get a newer app",
            )
        }
        model = json.getJSONObject("model").getString("name")
        target = json.getString("target")
        executes = json.getString("executes")
        sha256 = json.getJSONObject("artifact").getString("sha256")
        inputs = json.getJSONObject("model").getJSONArray("inputs").objects().map(::port)
        preprocess = json.optJSONObject("preprocess")?.let { Preprocess.from(it) }
        labels =
            json
                .optJSONArray("labels")
                ?.let { all -> List(all.length()) { all.getString(it) } }
                .orEmpty()
        placement = json.optJSONObject("placement")?.let(::inWords).orEmpty()
    }

    /** Whether `artifact` is the file that this card was written for; a Failure if it is not. */
    fun check(artifact: File) {
        if (sha256Of(artifact) != sha256) {
            throw Failure(
                "ArtifactError",
                "${artifact.name} is not the file its card describes: its SHA-256 differs; " +
                    "push the file and its card again, both from one conversion",
            )
        }
    }

    companion object {
        private const val SCHEMA = 1
        const val SUFFIX = ".json"

        /** The card beside `artifact`; a Failure where there is none, or it is no card. */
        fun beside(artifact: File): Card =
            try {
                parse(File(artifact.path + SUFFIX).readText())
            } catch (e: FileNotFoundException) {
                throw Failure(
                    "ArtifactError",
                    "there is no card ${artifact.name}$SUFFIX beside it; push both files",
                    e,
                )
            } catch (e: JSONException) {
                throw Failure(
                    "ArtifactError",
                    "${artifact.name}$SUFFIX is not an edgevit card: ${e.message}",
                    e,
                )
            }

        fun parse(text: String) = Card(JSONObject(text))

        /** Of a model's or a job's entry {"name", "dtype", "shape"}. */
        fun port(entry: JSONObject): Port {
            val shape = entry.getJSONArray("shape")
            return Port(
                entry.getString("name"),
                entry.getString("dtype"),
                IntArray(shape.length()) { shape.getInt(it) },
            )
        }

        /** As edgevit words it: "XNNPACK, 2 partitions + 87 ops", or "200 operators". */
        private fun inWords(placement: JSONObject): String {
            val outside = placement.getJSONObject("outside")
            val ops = outside.keys().asSequence().sumOf { outside.getInt(it) }
            val partitions = placement.getInt("partitions")
            if (placement.isNull("delegate")) return "$ops operators"
            val parts =
                placement.getString("delegate") +
                    ", $partitions partition${if (partitions == 1) "" else "s"}"
            return if (ops == 0) parts else "$parts + $ops ops"
        }
    }
}

fun JSONArray.objects(): List<JSONObject> = List(length()) { getJSONObject(it) }

fun sha256Of(file: File): String {
    val digest = MessageDigest.getInstance("SHA-256")
    file.inputStream().use { stream ->
        val buffer = ByteArray(1 shl 16)
        while (true) {
            val count = stream.read(buffer)
            if (count < 0) break
            digest.update(buffer, 0, count)
        }
    }
    return digest.digest().joinToString("") { "%02x".format(it) }
}
