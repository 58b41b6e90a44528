package org.edgevit.demo

import java.io.File
import org.json.JSONException
import org.json.JSONObject

/** What the host asks for, as JOB.md says; read from a job.json in a folder of this app's own. */
class Job(json: JSONObject, files: File) {
    val isProfile = json.getString("job") == "profile"
    val threads = json.optInt("threads", 1)
    val rounds = json.optInt("rounds", 30)
    val warmupS = json.optDouble("warmup_s", 0.5)
    val blockS = json.optDouble("block_s", 0.02)
    val seed = json.optLong("seed", 0)
    val control = json.optBoolean("control", true)
    val cooldownS = json.optDouble("cooldown_s", 0.0)
    val minutes = json.optDouble("minutes", 0.0)
    val rows = json.optInt("rows", 1)
    val items = json.getJSONArray("items").objects().map { item(it, files) }

    init {
        if (!isProfile && json.getString("job") != "run")
            refuse("a job is \"profile\" or \"run\", not \"${json["job"]}\"")
        if (items.isEmpty()) refuse("the job names no artifact")
        if (!isProfile && items.size != 1)
            refuse("a job \"run\" is for one artifact, not ${items.size}")
        if (threads < 1 || rounds < 1 || rows < 1) refuse("threads, rounds and rows are at least 1")
        if (warmupS < 0 || blockS <= 0 || cooldownS < 0 || minutes < 0)
            refuse("times are not negative, and a block's is not 0")
    }

    private fun item(entry: JSONObject, files: File): Artifact {
        val name = entry.getString("file")
        if (!files.resolve(name).canonicalPath.startsWith(files.canonicalPath + File.separator)) {
            refuse("$name lies outside of the app's folder")
        }
        val inputs = entry.optJSONArray("inputs")?.objects()?.map(Card::port).orEmpty()
        return Artifact(
            files.resolve(name),
            entry.getString("target"),
            threads,
            entry.optString("delegate", "cpu"),
            inputs,
        )
    }

    companion object {
        private const val VERSION = 1
        val TOKEN = Regex("[a-z0-9]{8,}")

        /** The job in `folder`, whose name is its token; a Failure when it is none. */
        fun read(folder: File, files: File): Job {
            val file = folder.resolve("job.json")
            if (!file.isFile) refuse("there is no job $file; push it first")
            try {
                val json = JSONObject(file.readText())
                if (json.getInt("version") != VERSION) {
                    refuse(
                        "the job is of version ${json["version"]}, this app knows $VERSION; " +
                            "install the app that belongs to this edgevit"
                    )
                }
                if (json.getString("token") != folder.name)
                    refuse("the job's token is not ${folder.name}")
                return Job(json, files)
            } catch (e: JSONException) {
                throw Failure("InputError", "$file is not a job: ${e.message}", e)
            }
        }

        private fun refuse(why: String): Nothing = throw Failure("InputError", why)
    }
}
