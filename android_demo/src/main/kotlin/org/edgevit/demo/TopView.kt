package org.edgevit.demo

import android.content.Context
import android.util.AttributeSet
import android.view.LayoutInflater
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.TextView
import kotlin.math.roundToInt

/** The best classes, each with its probability as a number and as a bar. */
class TopView(context: Context, attributes: AttributeSet) : LinearLayout(context, attributes) {
    init {
        orientation = VERTICAL
    }

    fun show(top: List<Score>) {
        while (childCount > top.size) removeViewAt(childCount - 1)
        while (childCount < top.size) LayoutInflater.from(context)
            .inflate(R.layout.score, this, true)
        top.forEachIndexed { i, score ->
            val row = getChildAt(i)
            val percent = context.getString(R.string.percent, 100 * score.probability)
            row.findViewById<TextView>(R.id.label).text = score.label
            row.findViewById<TextView>(R.id.probability).text = percent
            row.findViewById<ProgressBar>(R.id.bar).progress =
                (1000 * score.probability).roundToInt()
            row.contentDescription =
                context.getString(R.string.score_spoken, i + 1, score.label, percent)
        }
    }
}
