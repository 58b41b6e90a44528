// Not built where edgevit is tested: there was no Swift compiler, only a grammar that read it.
import Foundation

/// From a picture to the model's input, step by step as edgevit/preprocess.py takes them.
struct Preprocess: Decodable {
    let height: Int
    let width: Int
    let cropFraction: Double
    let interpolation: String
    let mean: [Double]
    let std: [Double]
    let channels: String
    let embedded: Bool
    let cropMode: String

    /// [channels, height, width]: normalised, or 0..255 when the artifact normalises by itself.
    func input(_ picture: Pixels) throws -> [Float32] {
        let shown = cropped(try scaled(channels == "L" ? picture.grey() : picture))
        let plane = height * width
        return (0..<shown.channels * plane).map { i in
            let c = i / plane
            let value = Float32(shown.values[i % plane * shown.channels + c])
            return embedded ? value : (value / 255 - Float32(mean[c])) / Float32(std[c])
        }
    }

    private func scaled(_ picture: Pixels) throws -> Pixels {
        var tall = Int(Double(height) / cropFraction)
        var wide = Int(Double(width) / cropFraction)
        if cropMode == "center" && tall == wide {  // the long side is cut, not rounded, only here
            let short = min(picture.width, picture.height)
            let side = tall
            func of(_ n: Int) -> Int { n == short ? side : Int(Double(side * n) / Double(short)) }
            (wide, tall) = (of(picture.width), of(picture.height))
        } else if cropMode != "squash" {
            let down = Double(picture.height) / Double(tall)
            let across = Double(picture.width) / Double(wide)
            let ratio = cropMode == "center" ? min(down, across) : max(down, across)
            wide = max(1, even(Double(picture.width) / ratio))
            tall = max(1, even(Double(picture.height) / ratio))
        }
        return try picture.resized(wide, tall, interpolation)
    }

    /// The middle; where the picture is smaller, as with "border", the rest is the mean.
    private func cropped(_ picture: Pixels) -> Pixels {
        let gapX = max(0, width - picture.width)
        let gapY = max(0, height - picture.height)
        let left = even(Double(picture.width + gapX - width) / 2) - gapX / 2
        let top = even(Double(picture.height + gapY - height) / 2) - gapY / 2
        var made = Pixels(width, height, picture.channels)
        for y in 0..<height {
            for x in 0..<width {
                let (u, v) = (x + left, y + top)
                let inside = u >= 0 && v >= 0 && u < picture.width && v < picture.height
                for c in 0..<picture.channels {
                    made.values[(y * width + x) * picture.channels + c] =
                        inside
                        ? picture.values[(v * picture.width + u) * picture.channels + c]
                        : UInt8(even(255 * mean[c]))
                }
            }
        }
        return made
    }

    /// To the even one of two, as Python rounds.
    private func even(_ x: Double) -> Int { Int(x.rounded(.toNearestOrEven)) }
}
