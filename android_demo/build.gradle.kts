// One module. What stands in pom.xml as well is held equal by tests/android/test_app_versions.py.
plugins {
    id("com.android.application") version "8.13.2"
    id("org.jetbrains.kotlin.android") version "2.4.21"
}

android {
    namespace = "org.edgevit.demo"
    compileSdk = 36
    defaultConfig {
        applicationId = "org.edgevit.demo"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
        ndk { abiFilters += listOf("arm64-v8a", "x86_64") }
    }
    sourceSets["main"].kotlin.srcDir("src/executorch/kotlin")
    androidResources { noCompress += listOf("tflite", "onnx", "pte") } // mapped, not unpacked
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    buildTypes {
        release { signingConfig = signingConfigs["debug"] } // timing wants a build that is not debuggable
    }
}

kotlin {
    compilerOptions { jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_17 }
}

dependencies {
    implementation("com.google.ai.edge.litert:litert:1.4.0") // has org.tensorflow.lite.Interpreter
    implementation("com.google.ai.edge.litert:litert-gpu:1.4.0")
    implementation("com.google.ai.edge.litert:litert-gpu-api:1.4.0")
    implementation("com.microsoft.onnxruntime:onnxruntime-android:1.22.0")
    implementation("org.pytorch:executorch-android:1.0.1")
}
