using Millrace.Kafka.Messages;

namespace Millrace.Tests.Log;

/// <summary>Flipped bits in a segment: what they hit is refused, everything else is served.</summary>
public sealed class DamageTests
{
    [Theory]
    [InlineData(7, "base offset")]
    [InlineData(11, "length")]
    [InlineData(14, "place check")]
    [InlineData(16, "magic")]
    [InlineData(26, "last offset delta")]
    [InlineData(70, "a record")]
    public async Task Records_before_and_behind_a_damaged_batch_are_served_and_the_log_names_the_lost_ones(int at, string what)
    {
        await using var test = await TestBroker.StartAsync();
        test.Broker.CreateTopic("t", 1);
        var path = Path.Combine(test.Folder, "topics/t/0/00000000000000000000.log");
        using (var client = test.Connect())
        {
            for (var i = 0; i < 5; i++)
                client.Produce("t", 0, WireClient.Batch($"{i}a", $"{i}b"));
        }
        await test.Broker.DisposeAsync();
        File.Delete(Path.ChangeExtension(path, ".index"));
        var bytes = await File.ReadAllBytesAsync(path);
        // All batches have the same length.
        var third = 2 * bytes.Length / 5;
        bytes[third + at] ^= 0x10;
        await File.WriteAllBytesAsync(path, bytes);
        await using var again = await TestBroker.StartAsync(folder: test.Folder);
        using var reader = again.Connect();
        Assert.Equal(["0a", "0b", "1a", "1b"], WireClient.Values(reader.Fetch("t", 0, 0).Records));
        Assert.Equal((ErrorCode.CorruptMessage, ErrorCode.CorruptMessage), (reader.Fetch("t", 0, 4).ErrorCode, reader.Fetch("t", 0, 5).ErrorCode));
        Assert.Equal(["3a", "3b", "4a", "4b"], WireClient.Values(reader.Fetch("t", 0, 6).Records));
        Assert.Equal(["4b"], WireClient.Values(reader.Fetch("t", 0, 9).Records, from: 9));
        Assert.True((await again.Line("offsets 4 to 5 cannot be read, those behind can")).Contains($"is damaged at byte {third}", StringComparison.Ordinal), what);
        // It goes on taking records, and they are read.
        Assert.Equal(10, reader.Produce("t", 0, WireClient.Batch("new")).BaseOffset);
        Assert.Equal(["new"], WireClient.Values(reader.Fetch("t", 0, 10).Records));
    }
}
