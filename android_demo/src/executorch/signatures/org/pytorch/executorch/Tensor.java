package org.pytorch.executorch;

import java.nio.FloatBuffer;

/** Only what ExecutorchEngine calls, to compile against; never part of an app. */
public abstract class Tensor {
    public static native Tensor fromBlob(FloatBuffer data, long[] shape);

    public native long[] shape();

    public native float[] getDataAsFloatArray();
}
