package org.edgevit.demo

import java.io.File

/** What the kernel tells an app of memory, in bytes; 0 where it does not. */
object Memory {
    fun total(): Long = kilobytes("/proc/meminfo", "MemTotal")

    /** What could be taken now without swapping. */
    fun available(): Long = kilobytes("/proc/meminfo", "MemAvailable")

    fun resident(): Long = kilobytes("/proc/self/status", "VmRSS")

    fun peakResident(): Long = kilobytes("/proc/self/status", "VmHWM")

    /** Starts the kernel's high-water mark anew, where it lets an app do so. */
    fun forgetPeak() {
        runCatching { File("/proc/self/clear_refs").writeText("5") }
    }

    private fun kilobytes(path: String, key: String): Long =
        runCatching { File(path).readLines() }
            .getOrDefault(emptyList())
            .firstOrNull { it.startsWith("$key:") }
            ?.filter(Char::isDigit)
            ?.toLongOrNull()
            ?.times(1024) ?: 0
}
