using System.Globalization;
using System.Reflection;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Wire;
using Xunit.Abstractions;

namespace Millrace.Tests.Kafka;

/// <summary>The messages against bytes that Apache Kafka's own serializers wrote (Golden/Golden.java).</summary>
public sealed class MessageTests(ITestOutputHelper output)
{
    private static readonly MethodInfo Reread = typeof(MessageTests).GetMethod(nameof(ReadAndWrite), BindingFlags.NonPublic | BindingFlags.Static)!;
    private static readonly MethodInfo Readable = typeof(MessageTests).GetMethod(nameof(TryRead), BindingFlags.NonPublic | BindingFlags.Static)!;

    [Fact]
    public void Every_message_of_every_version_is_read_and_written_back_byte_for_byte()
    {
        var wrong = new List<string>();
        var seen = 0;
        foreach (var (type, version, flexible, bytes, name) in Golden())
        {
            seen++;
            try
            {
                var written = (byte[])Reread.MakeGenericMethod(type).Invoke(null, [bytes, version, flexible])!;
                if (!written.AsSpan().SequenceEqual(bytes))
                    wrong.Add($"{name}\n  {Convert.ToHexString(bytes)}\n  {Convert.ToHexString(written)}");
            }
            catch (TargetInvocationException error)
            {
                wrong.Add($"{name}: {error.InnerException!.Message}");
            }
        }
        Assert.True(wrong.Count == 0, string.Join("\n", wrong));
        Assert.Equal(390, seen);
    }

    [Fact]
    public void Every_prefix_of_every_message_is_refused_as_malformed()
    {
        foreach (var (type, version, flexible, bytes, name) in Golden())
        {
            for (var length = 0; length < bytes.Length; length++)
            {
                var outcome = (string?)Readable.MakeGenericMethod(type).Invoke(null, [bytes[..length], version, flexible]);
                Assert.True(outcome == nameof(WireFormatException), $"{name} cut to {length} bytes: {outcome ?? "was read"}");
            }
        }
    }

    [Fact]
    public void Random_damage_is_read_or_refused_but_never_anything_else()
    {
        var random = new Random(Seeds.Next(output));
        // A million in the long run.
        var rounds = Environment.GetEnvironmentVariable("MILLRACE_LONG") is null ? 40 : 2600;
        var memory = new InputMemory();
        var (read, refused) = (0, 0);
        foreach (var (type, version, flexible, bytes, name) in Golden())
        {
            var outcomeOf = Readable.MakeGenericMethod(type).CreateDelegate<Func<byte[], short, bool, string?>>();
            for (var i = 0; i < rounds; i++)
            {
                var damaged = (byte[])bytes.Clone();
                for (var flips = random.Next(1, 4); flips > 0 && damaged.Length > 0; flips--)
                    damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
                // The largest object of one byte of input is an item of an array with its own empty arrays.
                var outcome = memory.Read(
                    () => outcomeOf(damaged, version, flexible), damaged.Length, each: 200, besides: 32 << 10, () => $"{name}: {Convert.ToHexString(damaged)}");
                Assert.True(outcome is null or nameof(WireFormatException), $"{name}: {outcome} for {Convert.ToHexString(damaged)}");
                (read, refused) = outcome is null ? (read + 1, refused) : (read, refused + 1);
            }
        }
        output.WriteLine($"{read + refused} messages: {read} read, {refused} refused; {memory}");
    }

    [Fact]
    public void An_array_that_claims_more_items_than_bytes_is_refused_before_it_is_allocated()
    {
        var bytes = new byte[] { 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0 };
        Assert.Throws<WireFormatException>(() => WireReader.Read<MetadataRequest>(bytes, 1, flexible: false));
    }

    [Fact]
    public void Unknown_tags_are_skipped()
    {
        // Heartbeat v4 response: throttle, error, then one unknown tag 9 of 3 bytes.
        var bytes = new byte[] { 0, 0, 0, 5, 0, 27, 1, 9, 3, 1, 2, 3 };
        var response = WireReader.Read<HeartbeatResponse>(bytes, 4, flexible: true);
        Assert.Equal(ErrorCode.RebalanceInProgress, response.ErrorCode);
    }

    [Fact]
    public void A_metadata_request_of_librdkafka_is_read_field_by_field()
    {
        // Version 4, topics ["t1"], auto creation allowed.
        var bytes = new byte[] { 0, 0, 0, 1, 0, 2, (byte)'t', (byte)'1', 1 };
        var request = WireReader.Read<MetadataRequest>(bytes, 4, flexible: false);
        Assert.Equal("t1", Assert.Single(request.Topics!).Name);
        Assert.True(request.AllowAutoTopicCreation);
    }

    [Fact]
    public void The_table_of_versions_names_each_message_once_and_librdkafkas_gates_are_open()
    {
        Assert.Equal(ApiVersionTable.All.Count, ApiVersionTable.All.Select(r => r.Key).Distinct().Count());
        // Before 2.11.1 librdkafka turns a feature on only if one exact version is in the range (rdkafka_feature.c).
        foreach (var (key, version) in new[]
        {
            (ApiKey.Produce, 0), (ApiKey.Produce, 3), (ApiKey.Produce, 7), (ApiKey.Fetch, 4), (ApiKey.Fetch, 10), (ApiKey.ListOffsets, 1),
            (ApiKey.OffsetCommit, 2), (ApiKey.FindCoordinator, 0), (ApiKey.JoinGroup, 0), (ApiKey.ApiVersions, 0), (ApiKey.InitProducerId, 0),
        })
        {
            var range = ApiVersionTable.Find(key)!;
            Assert.True(range.Min <= version && version <= range.Max, $"{key} must contain version {version}");
        }
    }

    private static IEnumerable<(Type Type, short Version, bool Flexible, byte[] Bytes, string Name)> Golden()
    {
        var path = Path.Combine(Repository.Root, "tests/Millrace.Tests/Kafka/Golden/messages.txt");
        foreach (var line in File.ReadLines(path))
        {
            var parts = line.Split(' ');
            var key = (ApiKey)short.Parse(parts[0], CultureInfo.InvariantCulture);
            var version = short.Parse(parts[1], CultureInfo.InvariantCulture);
            var name = key + (parts[2] == "q" ? "Request" : "Response");
            var type = typeof(ApiKey).Assembly.GetType("Millrace.Kafka.Messages." + name)!;
            yield return (type, version, ApiVersionTable.Find(key)!.IsFlexible(version), Convert.FromHexString(parts[3]), $"{name} v{version}");
        }
    }

    private static byte[] ReadAndWrite<T>(byte[] bytes, short version, bool flexible) where T : class, IWireStruct, new()
    {
        var message = WireReader.Read<T>(bytes, version, flexible);
        using var buffer = new WireBuffer();
        WireWriter.Write(buffer, message, version, flexible);
        return buffer.ToArray();
    }

    private static string? TryRead<T>(byte[] bytes, short version, bool flexible) where T : class, IWireStruct, new()
    {
        try
        {
            WireReader.Read<T>(bytes, version, flexible);
            return null;
        }
        catch (Exception error)
        {
            return error.GetType().Name;
        }
    }
}
