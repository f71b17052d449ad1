using Millrace.Storage.Files;
using Millrace.Storage.Files.Faults;

namespace Millrace.Tests.Storage;

public sealed class ZeroFillTests
{
    [Theory]
    [InlineData(0, 4096)]
    [InlineData(700, 5000)]
    [InlineData(0, 1_000_000)]
    [InlineData(300, 300)]
    public void What_is_filled_with_zeros_is_whole_after_every_crash_once_it_says_so(int from, int to)
    {
        for (var seed = 0; seed < 20; seed++)
        {
            var disk = new SimulatedFileSystem(seed);
            using var file = disk.Open("/spare", create: true);
            disk.FlushFolder("/");
            file.Write(0, new byte[from].AsSpan());
            var zeros = new ZeroFill(file, from, to);
            for (var before = file.Length; zeros.WriteNext(); before = file.Length)
            {
                Assert.InRange(file.Length - before, 1, 64 << 10);
                Assert.True(zeros.Rest >= TimeSpan.FromMilliseconds(1));
            }
            disk.Crash();
            var content = DurableFile.ReadAll(disk, "/spare");
            Assert.Equal(to, content.Length);
            Assert.True(content.AsSpan().IndexOfAnyExcept((byte)0) < 0, $"seed {seed}");
        }
    }
}
