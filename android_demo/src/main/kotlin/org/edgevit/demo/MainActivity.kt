package org.edgevit.demo

import android.Manifest
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager
import android.os.Bundle
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.Spinner
import android.widget.TextView

/** An artifact, a picture, and what the one says of the other. */
class MainActivity : Activity() {
    private lateinit var session: MainSession
    private var names = emptyList<String>()

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        setContentView(R.layout.main)
        (findViewById<View>(R.id.picture).parent as View).clipToOutline = true // rounded
        if (resources.configuration.fontScale > 1.3f) stack(findViewById(R.id.buttons))
        session = lastNonConfigurationInstance as? MainSession ?: MainSession(applicationContext)
        session.onChange = ::show
        findViewById<Button>(R.id.gallery).setOnClickListener { choosePicture() }
        findViewById<Button>(R.id.camera).setOnClickListener { withCamera(PHOTO) }
        findViewById<Button>(R.id.live).setOnClickListener { withCamera(LIVE) }
    }

    override fun onStart() {
        super.onStart()
        names = Artifacts.names(this) // again: one may have been pushed meanwhile
        val spinner = findViewById<Spinner>(R.id.artifact)
        spinner.adapter = ArrayAdapter(this, R.layout.choice, names)
        spinner.onItemSelectedListener =
            object : AdapterView.OnItemSelectedListener {
                override fun onItemSelected(
                    parent: AdapterView<*>,
                    view: View?,
                    place: Int,
                    id: Long,
                ) = session.choose(names[place])

                override fun onNothingSelected(parent: AdapterView<*>) = Unit
            }
        names.indexOf(session.artifact).takeIf { it >= 0 }?.let { spinner.setSelection(it) }
        show()
    }

    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onDestroy() {
        super.onDestroy()
        session.onChange = {}
        if (!isChangingConfigurations) session.close()
    }

    override fun onActivityResult(request: Int, result: Int, data: Intent?) {
        if (result != RESULT_OK) return
        val uri = if (request == PHOTO) PhotoProvider.URI else data?.data ?: return
        session.show { contentResolver.openInputStream(uri) }
    }

    override fun onRequestPermissionsResult(request: Int, asked: Array<String>, granted: IntArray) {
        if (granted.firstOrNull() == PackageManager.PERMISSION_GRANTED) withCamera(request)
        else say(getString(R.string.camera_refused))
    }

    /** One below the other: three words of large letters do not fit side by side. */
    private fun stack(buttons: LinearLayout) {
        buttons.orientation = LinearLayout.VERTICAL
        for (i in 0 until buttons.childCount) {
            val whole = LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT)
            whole.topMargin = (8 * resources.displayMetrics.density).toInt()
            buttons.getChildAt(i).layoutParams = whole
        }
    }

    private fun choosePicture() =
        start(
            Intent(Intent.ACTION_GET_CONTENT)
                .setType("image/*")
                .addCategory(Intent.CATEGORY_OPENABLE),
            GALLERY,
        )

    /**
     * Android gives no photo from its own camera app either, to an app that may use the camera but
     * has not asked.
     */
    private fun withCamera(purpose: Int) {
        when {
            !packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY) ->
                say(getString(R.string.no_camera))
            checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED ->
                requestPermissions(arrayOf(Manifest.permission.CAMERA), purpose)
            purpose == LIVE ->
                startActivity(
                    Intent(this, LiveActivity::class.java)
                        .putExtra(LiveActivity.ARTIFACT, session.artifact)
                )
            else -> start(PhotoProvider.intent(), PHOTO)
        }
    }

    private fun start(intent: Intent, request: Int) =
        try {
            @Suppress("DEPRECATION") // its successor is AndroidX, which this app does without
            startActivityForResult(intent, request)
        } catch (e: ActivityNotFoundException) {
            say(getString(if (request == GALLERY) R.string.no_gallery else R.string.no_camera))
        }

    private fun say(message: String) {
        session.message = message
        show()
    }

    private fun show() {
        val (card, answer) = session.card to session.answer
        val nothing = if (names.isEmpty()) getString(R.string.no_artifacts) else ""
        text(R.id.message, session.message.ifEmpty { nothing })
        text(
            R.id.about,
            card
                ?.run { listOf(executes, placement).filter { it.isNotEmpty() } }
                .orEmpty()
                .joinToString(" · "),
        )
        text(
            R.id.latency,
            answer?.let { getString(R.string.latency, it.inferredMs, it.preparedMs) }.orEmpty(),
        )
        text(R.id.hint, if (session.picture == null) getString(R.string.hint) else "")
        findViewById<View>(R.id.artifact).contentDescription =
            getString(R.string.model_spoken, session.artifact.orEmpty())
        findViewById<TopView>(R.id.top).show(answer?.top.orEmpty())
        findViewById<ImageView>(R.id.picture).setImageBitmap(session.picture)
        findViewById<View>(R.id.busy).visibility =
            if (session.busy) View.VISIBLE else View.INVISIBLE
    }

    private fun text(id: Int, text: String) =
        findViewById<TextView>(id).let {
            if (it.text.toString() != text) it.text = text // TalkBack speaks what changed
            it.visibility = if (text.isEmpty()) View.GONE else View.VISIBLE
        }

    companion object {
        const val GALLERY = 1
        const val PHOTO = 2
        const val LIVE = 3
    }
}
