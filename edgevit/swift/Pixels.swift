// Not built where edgevit is tested: there was no Swift compiler, only a grammar that read it.
import CoreGraphics
import Foundation
import ImageIO

/// A picture as 8-bit values, row by row, the channels of a pixel side by side.
public struct Pixels {
    let width: Int
    let height: Int
    let channels: Int
    var values: [UInt8]

    init(_ width: Int, _ height: Int, _ channels: Int) {
        self.width = width
        self.height = height
        self.channels = channels
        values = [UInt8](repeating: 0, count: width * height * channels)
    }

    /// A stored picture, turned upright.
    public init(data: Data) throws {
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let image = CGImageSourceCreateThumbnailAtIndex(
                source, 0,
                [
                    kCGImageSourceCreateThumbnailFromImageAlways: true,
                    kCGImageSourceCreateThumbnailWithTransform: true,
                ] as CFDictionary)
        else { throw Failure(said: "this is not a picture that can be read; choose another") }
        try self.init(image: image)
    }

    /// An upright picture, in its own colours where they are RGB: edgevit converts none either.
    public init(image: CGImage) throws {
        self.init(image.width, image.height, 3)
        let own = image.colorSpace.flatMap { $0.model == .rgb ? $0 : nil }
        var raw = [UInt8](repeating: 0, count: width * height * 4)
        let drawn = raw.withUnsafeMutableBytes { bytes -> Bool in
            guard
                let context = CGContext(
                    data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8,
                    bytesPerRow: width * 4, space: own ?? CGColorSpaceCreateDeviceRGB(),
                    bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
            else { return false }
            context.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
            return true
        }
        guard drawn else { throw Failure(said: "the picture cannot be drawn; save it anew") }
        for i in 0..<width * height {
            for c in 0..<3 { values[3 * i + c] = raw[4 * i + c] }
        }
    }

    /// One channel of luma, in the fixed arithmetic with which edgevit makes it.
    func grey() -> Pixels {
        var made = Pixels(width, height, 1)
        for i in 0..<width * height {
            let (r, g, b) = (Int(values[3 * i]), Int(values[3 * i + 1]), Int(values[3 * i + 2]))
            made.values[i] = UInt8((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16)
        }
        return made
    }

    /// Rows first and then columns, 8 bits after each, as edgevit scales.
    func resized(_ width: Int, _ height: Int, _ interpolation: String) throws -> Pixels {
        let wide = try stretched(to: width, interpolation)
        return try wide.transposed().stretched(to: height, interpolation).transposed()
    }

    private func transposed() -> Pixels {
        var made = Pixels(height, width, channels)
        for y in 0..<height {
            for x in 0..<width {
                let (from, to) = ((y * width + x) * channels, (x * height + y) * channels)
                for c in 0..<channels { made.values[to + c] = values[from + c] }
            }
        }
        return made
    }

    /// Each row to `count` pixels, by a kernel that is widened by the factor of reduction.
    private func stretched(to count: Int, _ interpolation: String) throws -> Pixels {
        if count == width { return self }
        let taps = try Taps(width, count, interpolation)
        var made = Pixels(count, height, channels)
        for y in 0..<height {
            for x in 0..<count {
                for c in 0..<channels {
                    var sum = 0.0
                    for (i, weight) in taps.weights[x].enumerated() {
                        let from = y * width + taps.first[x] + i
                        sum += weight * Double(values[from * channels + c])
                    }
                    let rounded = (sum + 0.5).rounded(.down)
                    made.values[(y * count + x) * channels + c] = UInt8(min(max(rounded, 0), 255))
                }
            }
        }
        return made
    }
}
