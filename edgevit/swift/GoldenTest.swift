// Not built where edgevit is tested: there was no Swift compiler, only a grammar that read it.
import Foundation
import XCTest

@testable import EdgevitEmbedded

/// The embedded artifact scores golden.png here as it did where `edgevit embed` was run.
final class GoldenTest: XCTestCase {
    private struct Golden: Decodable {
        struct Entry: Decodable {
            let label: String
            let probability: Double
        }
        let best: [String]
        let tolerance: Double
        let top: [Entry]
    }

    func testScoresTheGoldenPictureAsEdgevitDid() throws {
        let golden = try JSONDecoder().decode(Golden.self, from: try resource("golden", "json"))
        let picture = try Pixels(data: try resource("golden", "png"))
        // The CPU, whose numbers do not depend on the device.
        let found = try Classifier(computeUnits: .cpuOnly).classify(picture)
        XCTAssertEqual(found.count, golden.top.count)
        XCTAssert(golden.best.contains(found[0].label), "the best class is \(found[0].label)")
        // A score that is off by t moves the logarithm of no probability by more than 2 t.
        let factor = exp(2 * golden.tolerance)
        for (mine, its) in zip(found, golden.top) {
            XCTAssertLessThanOrEqual(mine.probability, its.probability * factor)
            XCTAssertLessThanOrEqual(its.probability, mine.probability * factor)
        }
    }

    private func resource(_ name: String, _ suffix: String) throws -> Data {
        try Data(contentsOf: Bundle.module.url(forResource: name, withExtension: suffix)!)
    }
}
