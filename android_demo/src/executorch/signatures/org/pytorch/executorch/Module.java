package org.pytorch.executorch;

/** Only what ExecutorchEngine calls, to compile against; never part of an app. */
public class Module {
    public static final int LOAD_MODE_MMAP = 1;

    public static Module load(String path, int mode, int threads) {
        throw new UnsupportedOperationException("a signature");
    }

    public native void loadMethod(String name);

    public native EValue[] forward(EValue... inputs);

    public native void destroy();
}
