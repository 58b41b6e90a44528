package org.edgevit.demo

import android.content.Context
import java.io.File

/**
 * The artifacts that can be chosen: in the app's files folder, where adb pushes them, or bundled.
 */
object Artifacts {
    private const val BUNDLED = "artifacts"
    private val SUFFIXES = listOf("tflite", "onnx", "pte")

    fun names(context: Context): List<String> {
        val pushed = context.getExternalFilesDir(null)?.list().orEmpty().toList()
        val bundled = context.assets.list(BUNDLED).orEmpty().toList()
        return (pushed + bundled).filter { File(it).extension in SUFFIXES }.distinct().sorted()
    }

    /**
     * The file of that name, one that was pushed before one in the app; a bundled one is copied
     * out.
     */
    fun file(context: Context, name: String): File {
        context
            .getExternalFilesDir(null)
            ?.resolve(name)
            ?.takeIf { it.isFile }
            ?.let {
                return it
            }
        return unpacked(context, "$BUNDLED/$name")
    }
}
