package org.edgevit.demo

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import android.os.Process
import java.io.File
import org.json.JSONArray
import org.json.JSONObject

/** This phone: what it is, what changes with time and slows it, and the CPU time taken. */
object Device {
    /** Not empty only where tests run the app on a JVM: no figure of that is a phone's. */
    val place: String = System.getProperty("edgevit.place").orEmpty()

    // The flags that decide which kernels XNNPACK and MLAS take; names of /proc/cpuinfo.
    private val FLAGS =
        ("neon asimd asimdhp fphp asimddp i8mm bf16 sve sve2 sme sme2 sse4_1 avx avx2 fma f16c " +
                "avx_vnni avx512f avx512bw avx512vl avx512_vnni avx512_bf16")
            .split(" ")
            .toSet()

    fun facts(context: Context): JSONObject {
        val cpuinfo =
            read("/proc/cpuinfo").orEmpty().lines().map {
                it.substringBefore(":").trim() to it.substringAfter(":").trim()
            }
        fun all(key: String) =
            cpuinfo
                .filter { it.first == key && it.second.isNotEmpty() }
                .map { it.second }
                .distinct()
        val features = (all("Features") + all("flags")).flatMap { it.split(" ") }.toSet()
        return JSONObject()
            .put("device", "${Build.MANUFACTURER} ${Build.MODEL}")
            .put("host", "") // an app may not read the serial; who asks over adb knows it
            .put("os", "Android ${Build.VERSION.RELEASE}")
            .put("cpu", (all("model name") + all("Hardware")).firstOrNull().orEmpty())
            .put("family", all("CPU part").joinToString(" + "))
            .put("flags", JSONArray(features.intersect(FLAGS).sorted()))
            .put("cores", Runtime.getRuntime().availableProcessors())
            .put("memory_bytes", Memory.total())
            .put(
                "soc",
                if (Build.VERSION.SDK_INT >= 31) "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}"
                else Build.BOARD,
            )
            .put(
                "abi",
                if (place.isEmpty()) Build.SUPPORTED_ABIS[0] else System.getProperty("os.arch"),
            )
            .put(
                "app",
                context.packageManager.getPackageInfo(context.packageName, 0).versionName.orEmpty(),
            )
            .put("place", place)
    }

    /** Only what this phone shows. */
    fun state(context: Context): JSONObject {
        val found = JSONObject()
        val power = context.getSystemService(PowerManager::class.java)
        if (Build.VERSION.SDK_INT >= 29) found.put("thermal_status", power.currentThermalStatus)
        found.put("power_save", power.isPowerSaveMode)
        context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))?.let { battery
            ->
            fun extra(name: String) = battery.getIntExtra(name, -1).takeIf { it >= 0 }
            val scale = extra(BatteryManager.EXTRA_SCALE)?.takeIf { it > 0 } ?: 100
            extra(BatteryManager.EXTRA_LEVEL)?.let { found.put("battery_pct", 100 * it / scale) }
            extra(BatteryManager.EXTRA_PLUGGED)?.let { found.put("on_battery", it == 0) }
            extra(BatteryManager.EXTRA_TEMPERATURE)?.let { found.put("celsius", it / 10.0) }
        }
        val mhz =
            List(Runtime.getRuntime().availableProcessors()) { core ->
                read("/sys/devices/system/cpu/cpu$core/cpufreq/scaling_cur_freq")
                    ?.trim()
                    ?.toIntOrNull()
                    ?.div(1000)
            }
        if (mhz.all { it != null }) found.put("mhz", JSONArray(mhz))
        return found
    }

    /** CPU seconds of all threads; where Android's own clock is not at hand, in steps of 10 ms. */
    fun cpuSeconds(): Double {
        Process.getElapsedCpuTime()
            .takeIf { it > 0 }
            ?.let {
                return it / 1e3
            }
        val fields = read("/proc/self/stat")?.substringAfterLast(") ")?.split(" ") ?: return 0.0
        return (fields[11].toLong() + fields[12].toLong()) / 100.0
    }

    private fun read(path: String): String? = runCatching { File(path).readText() }.getOrNull()
}
