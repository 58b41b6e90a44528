package org.edgevit.demo

import kotlin.system.exitProcess
import org.junit.runner.JUnitCore
import org.junit.runner.Request
import org.robolectric.RobolectricTestRunner

/** Not a test: how embedded_on_jvm.py runs tests that were written for a phone, by their names. */
fun main(names: Array<String>) {
    val failures =
        names.flatMap { name ->
            val runner = RobolectricTestRunner(Class.forName(name))
            val result = JUnitCore().run(Request.runner(runner))
            check(result.runCount > 0) { "$name has no test" }
            if (result.wasSuccessful()) println("OK $name (${result.runCount})")
            result.failures.map { "FAILED $name: ${it.trace}" }
        }
    failures.forEach(::println)
    exitProcess(if (failures.isEmpty()) 0 else 1)
}
