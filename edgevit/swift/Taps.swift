// Not built where edgevit is tested: there was no Swift compiler, only a grammar that read it.
import Foundation

/// For each place of a scaled row: where its inputs begin, and their weights.
struct Taps {
    private(set) var first: [Int] = []
    private(set) var weights: [[Double]] = []

    init(_ size: Int, _ count: Int, _ interpolation: String) throws {
        let scale = Double(size) / Double(count)
        if interpolation == "nearest" {
            first = (0..<count).map { Int((Double($0) + 0.5) * scale) }
            weights = [[Double]](repeating: [1], count: count)
            return
        }
        guard let (support, kernel) = Taps.kernels[interpolation] else {
            throw Failure(said: "the card's interpolation \(interpolation) is not known here")
        }
        let widened = max(scale, 1)
        for i in 0..<count {
            let center = (Double(i) + 0.5) * scale
            let from = max(0, Int(center - support * widened + 0.5))
            let end = min(size, Int(center + support * widened + 0.5))
            let raw = (from..<end).map { kernel((Double($0) - center + 0.5) / widened) }
            let sum = raw.reduce(0, +)
            first.append(from)
            weights.append(raw.map { $0 / sum })
        }
    }

    private static let kernels: [String: (Double, (Double) -> Double)] = [
        "box": (0.5, { $0 > -0.5 && $0 <= 0.5 ? 1 : 0 }),
        "bilinear": (1, { max(0, 1 - abs($0)) }),
        "hamming": (1, { abs($0) < 1 ? sinc($0) * (0.54 + 0.46 * cos(Double.pi * $0)) : 0 }),
        "bicubic": (2, cubic),
        "lanczos": (3, { abs($0) < 3 ? sinc($0) * sinc($0 / 3) : 0 }),
    ]

    private static func sinc(_ x: Double) -> Double {
        x == 0 ? 1 : sin(Double.pi * x) / (Double.pi * x)
    }

    private static func cubic(_ signed: Double) -> Double {
        let x = abs(signed)
        if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
        return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0
    }
}
