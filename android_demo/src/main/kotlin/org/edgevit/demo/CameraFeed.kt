package org.edgevit.demo

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.CaptureRequest
import android.media.Image
import android.media.ImageReader
import android.os.Handler

/**
 * Upright frames of the camera, each as soon as the one before is done with; what comes meanwhile
 * is dropped, so that what is shown is never old.
 *
 * onFrame, onFailure, onClosed: called on the feed's own thread. turned: degrees by which the
 * display is turned.
 */
class CameraFeed(
    private val context: Context,
    private val turned: Int,
    private val onFrame: (Pixels) -> Unit,
    private val onFailure: (Failure) -> Unit,
    private val onClosed: () -> Unit,
) : AutoCloseable {
    private val looper = modelLooper() // whoever gets the frames runs a model on them
    private val handler = Handler(looper)
    private var camera: CameraDevice? = null
    private var reader: ImageReader? = null
    private var orientation = 1
    private var asked = false // for the camera, which then comes and has to be closed
    private var closed = false

    init {
        handler.post { guarded { open() } }
    }

    override fun close() {
        handler.post {
            closed = true
            reader?.close()
            onClosed()
            if (asked) camera?.close() else looper.quitSafely()
        }
    }

    @SuppressLint("MissingPermission") // who opens live mode has it; without, `guarded` says so
    private fun open() {
        val manager = context.getSystemService(CameraManager::class.java)
        val found = manager.cameraIdList.associateWith { manager.getCameraCharacteristics(it) }
        fun facing(of: CameraCharacteristics) = of[CameraCharacteristics.LENS_FACING]
        val (id, about) =
            found.entries
                .sortedBy { facing(it.value) != CameraCharacteristics.LENS_FACING_BACK }
                .firstOrNull()
                ?: throw Failure("DeviceError", context.getString(R.string.no_camera))
        val mirrored = facing(about) == CameraCharacteristics.LENS_FACING_FRONT
        val sensor = about[CameraCharacteristics.SENSOR_ORIENTATION] ?: 0
        orientation = exifOrientation(if (mirrored) sensor + turned else sensor - turned)
        val sizes =
            about[CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP]
                ?.getOutputSizes(ImageFormat.YUV_420_888)
                .orEmpty()
        val size =
            sizes.filter { it.width * it.height >= ENOUGH }.minByOrNull { it.width * it.height }
                ?: sizes.maxByOrNull { it.width * it.height }
                ?: throw Failure("DeviceError", context.getString(R.string.no_camera))
        reader =
            ImageReader.newInstance(size.width, size.height, ImageFormat.YUV_420_888, 2).apply {
                setOnImageAvailableListener(
                    { guarded { it.acquireLatestImage()?.use(::frame) } },
                    handler,
                )
            }
        manager.openCamera(
            id,
            object : CameraDevice.StateCallback() {
                override fun onOpened(device: CameraDevice) = guarded { start(device) }

                override fun onClosed(device: CameraDevice) {
                    if (closed) looper.quitSafely()
                }

                override fun onDisconnected(device: CameraDevice) =
                    failed(device, "another app took the camera")

                override fun onError(device: CameraDevice, error: Int) =
                    failed(device, "the camera failed (error $error)")
            },
            handler,
        )
        asked = true
    }

    private fun start(device: CameraDevice) {
        camera = device
        if (closed) return device.close()
        val surface = reader!!.surface
        @Suppress("DEPRECATION") // the other form is of API 28
        device.createCaptureSession(
            listOf(surface),
            object : CameraCaptureSession.StateCallback() {
                override fun onConfigured(session: CameraCaptureSession) = guarded {
                    val request = device.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW)
                    request.addTarget(surface)
                    request[CaptureRequest.CONTROL_AF_MODE] =
                        CaptureRequest.CONTROL_AF_MODE_CONTINUOUS_PICTURE
                    session.setRepeatingRequest(request.build(), null, handler)
                }

                override fun onConfigureFailed(session: CameraCaptureSession) =
                    failed(device, "the camera gives no frames")
            },
            handler,
        )
    }

    private fun frame(image: Image) {
        val planes = image.planes.map { Plane(it.buffer, it.rowStride, it.pixelStride) }
        onFrame(rgb(image.width, image.height, planes).upright(orientation))
    }

    private fun failed(device: CameraDevice, why: String) {
        device.close()
        asked = false
        onFailure(Failure("DeviceError", "$why; close live mode and open it again"))
    }

    private fun guarded(step: () -> Unit) =
        try {
            step()
        } catch (e: Throwable) { // SecurityException, CameraAccessException, whatever the camera's
            // driver says
            onFailure(Failure.of(e, "the camera cannot be used"))
        }

    companion object {
        private const val ENOUGH = 640 * 480 // pixels; no model here takes more

        fun exifOrientation(degrees: Int) =
            when (Math.floorMod(degrees, 360)) {
                90 -> 6
                180 -> 3
                270 -> 8
                else -> 1
            }
    }
}
