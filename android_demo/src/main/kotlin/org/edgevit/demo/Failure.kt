package org.edgevit.demo

import java.io.FileNotFoundException

/**
 * What went wrong, in a sentence for whoever reads it on the screen or in a result file.
 *
 * kind: the name that the same failure has on the host, of edgevit/errors.py.
 */
class Failure(val kind: String, override val message: String, cause: Throwable? = null) :
    Exception(message, cause) {
    companion object {
        /**
         * Any throwable as one of these; what: what was being done, as "cat.onnx was not loaded".
         */
        fun of(error: Throwable, what: String): Failure =
            when (error) {
                is Failure -> error
                is OutOfMemoryError ->
                    Failure(
                        "ChildMemory",
                        "$what: it needs more memory than this app may have",
                        error,
                    )
                is LinkageError,
                is ClassNotFoundException ->
                    Failure(
                        "MissingRuntime",
                        "$what: its runtime is not in this app ($error)",
                        error,
                    )
                is FileNotFoundException -> Failure("InputError", "$what: ${said(error)}", error)
                else -> Failure("ArtifactError", "$what: ${said(error)}", error)
            }

        /**
         * The first line of what it says, or else what it is; wrappers of reflection say nothing.
         */
        private fun said(error: Throwable): String =
            error.message
                ?.lineSequence()
                ?.first { it.isNotBlank() || error.message!!.isBlank() }
                ?.trim()
                ?.take(300)
                ?.ifEmpty { null } ?: error.javaClass.simpleName
    }
}
