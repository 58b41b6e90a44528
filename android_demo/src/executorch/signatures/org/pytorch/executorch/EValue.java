package org.pytorch.executorch;

/** Only what ExecutorchEngine calls, to compile against; never part of an app. */
public class EValue {
    public static native EValue from(Tensor value);

    public native Tensor toTensor();
}
