package org.edgevit.demo

import android.content.Context
import java.io.File

/** The artifact that lies at `asset` in the app, and its card, copied out: a runtime wants files. */
fun unpacked(context: Context, asset: String): File {
    val copy = context.noBackupFilesDir.resolve(File(asset).name)
    try {
        for (suffix in listOf("", Card.SUFFIX)) {
            context.assets.open(asset + suffix).use { from ->
                File(copy.path + suffix).outputStream().use { from.copyTo(it) }
            }
        }
    } catch (e: Exception) {
        throw Failure.of(e, "${copy.name} was not unpacked")
    }
    return copy
}
