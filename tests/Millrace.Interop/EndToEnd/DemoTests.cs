using System.Text.Json.Nodes;
using Millrace.Bench.Running;

namespace Millrace.Interop.EndToEnd;

public sealed class DemoTests
{
    [Fact]
    public async Task The_headless_demo_adds_up()
    {
        var folder = Directory.CreateTempSubdirectory("millrace-demo-").FullName;
        try
        {
            // Only for its free ports: the demo starts its own platform.
            await using var ports = PlatformProcess.Create(folder);
            using var demo = ports.Run(
                ["demo", "--headless", "--for", "15s", "--json", "--data", Path.Combine(folder, "demo"), "--config", Path.Combine(folder, "millrace.yaml")]);
            var errors = demo.StandardError.ReadToEndAsync();
            var output = await demo.StandardOutput.ReadToEndAsync();
            await demo.WaitForExitAsync();
            Assert.True(demo.ExitCode == 0, output + await errors);
            var report = JsonNode.Parse(output)!;
            Assert.True(report["good_counts"]!.GetValue<bool>());
            Assert.True(report["quarantined"]!.GetValue<long>() > 0);
            Assert.True(report["snapshots"]!["sales.orders"]!.GetValue<int>() >= 1);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
