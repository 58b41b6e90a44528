// swift-tools-version:5.7
// Not built where edgevit is tested: there was no Swift compiler, only a grammar that read it.
import PackageDescription

let package = Package(
    name: "EdgevitEmbedded",
    platforms: [.iOS("17.0"), .macOS("14.0")],
    products: [.library(name: "EdgevitEmbedded", targets: ["EdgevitEmbedded"])],
    targets: [
        .target(name: "EdgevitEmbedded", resources: [.copy("artifact")]),
        .testTarget(
            name: "EdgevitEmbeddedTests", dependencies: ["EdgevitEmbedded"],
            resources: [.copy("golden.png"), .copy("golden.json")]),
    ]
)
