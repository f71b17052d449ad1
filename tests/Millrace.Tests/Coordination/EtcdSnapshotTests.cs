using System.Text;
using Google.Protobuf;
using Millrace.Coordination.Bolt;
using Millrace.Coordination.Client;
using Millrace.Coordination.Etcd;
using Millrace.Coordination.Node;
using Millrace.Coordination.Snapshots;
using Millrace.Coordination.Wire;

namespace Millrace.Tests.Coordination;

/// <summary>The database that a snapshot is: written and read by us alone. That etcd's own programs agree is tested in Millrace.Interop.</summary>
public sealed class EtcdSnapshotTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-bolt-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")]
    [InlineData("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK")]
    [InlineData("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a")]
    [InlineData("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy")]
    public void Bcrypt_knows_the_hashes_of_others(string password, string hash)
    {
        Assert.True(Bcrypt.Verify(password, Encoding.ASCII.GetBytes(hash)));
        Assert.False(Bcrypt.Verify(password + "x", Encoding.ASCII.GetBytes(hash)));
    }

    [Fact]
    public void Bcrypt_knows_its_own_hashes_and_nothing_that_is_none()
    {
        var hash = Bcrypt.Hash("pässword", 4);
        Assert.True(Bcrypt.Verify("pässword", hash));
        Assert.False(Bcrypt.Verify("password", hash));
        Assert.False(Bcrypt.Verify("x", new byte[48]));
        Assert.False(Bcrypt.Verify("x", "$2a$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"u8));
    }

    [Theory]
    [InlineData(0, 10)]
    [InlineData(1, 10)]
    [InlineData(300, 20)]
    [InlineData(30_000, 40)]
    [InlineData(200, 9_000)]
    public void A_tree_of_any_size_is_read_as_it_was_written(int count, int maxValue)
    {
        var random = new Random(count);
        var items = Enumerable.Range(0, count).Select(i => (Key: Encoding.ASCII.GetBytes($"key {i:000000}"), Value: new byte[random.Next(maxValue)])).ToArray();
        foreach (var (_, value) in items)
            random.NextBytes(value);
        var path = Write(bolt =>
        {
            bolt.BeginBucket("empty"u8);
            bolt.BeginBucket("full"u8);
            foreach (var (key, value) in items)
                bolt.Add(key, value);
            bolt.BeginBucket("last"u8);
            bolt.Add("a"u8, "b"u8);
        });
        using var reader = new BoltReader(path, new FileInfo(path).Length);
        Assert.Empty(reader.Bucket("empty"));
        Assert.Empty(reader.Bucket("absent"));
        Assert.Single(reader.Bucket("last"));
        var read = reader.Bucket("full").Select(i => (Key: i.Key.ToArray(), Value: i.Value.ToArray())).ToArray();
        Assert.Equal(items.Select(i => i.Key), read.Select(i => i.Key));
        Assert.Equal(items.Select(i => i.Value), read.Select(i => i.Value));
    }

    [Fact]
    public void Keys_out_of_order_are_refused_by_the_writer()
    {
        using var stream = new MemoryStream();
        var bolt = new BoltWriter(stream);
        bolt.BeginBucket("b"u8);
        bolt.Add("2"u8, ""u8);
        Assert.Throws<ArgumentException>(() => bolt.Add("1"u8, ""u8));
        Assert.Throws<ArgumentException>(() => bolt.BeginBucket("a"u8));
    }

    [Fact]
    public void Versions_come_in_the_order_of_their_revisions_however_little_memory_there_is()
    {
        var random = new Random(7);
        var versions = Enumerable.Range(1, 2_000).Select(i => new KeyValue
        {
            Key = ByteString.CopyFromUtf8($"k{i}"), ModRevision = random.Next(1, 600), Value = ByteString.CopyFrom(new byte[random.Next(i % 100 == 0 ? 200_000 : 300)]),
        }).ToArray();
        using var sorter = new VersionSorter(() => new FileStream(Path.Combine(_folder, "scratch"), FileMode.CreateNew, FileAccess.ReadWrite), 50_000);
        foreach (var version in versions)
            sorter.Add(version);
        var expected = versions.OrderBy(v => v.ModRevision).ThenBy(v => v.Key.ToStringUtf8(), StringComparer.Ordinal);
        Assert.Equal(expected, sorter.Sorted());
    }

    [Fact]
    public async Task A_damaged_database_is_refused_in_words_wherever_the_damage_is()
    {
        var file = Path.Combine(_folder, "state");
        await SaveAsync(file, keys: 400);
        var whole = await File.ReadAllBytesAsync(file);
        var damaged = Path.Combine(_folder, "damaged");
        var seed = Environment.GetEnvironmentVariable("MILLRACE_SEED") is { } given ? int.Parse(given, null) : Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 300; round++)
        {
            var bytes = whole.AsSpan().ToArray();
            for (var n = random.Next(1, 4); n > 0; n--)
                bytes[random.Next(bytes.Length - 32)] = (byte)random.Next(256);
            if (random.Next(4) == 0)
                bytes = bytes[..(random.Next(bytes.Length / 512) * 512)];
            await File.WriteAllBytesAsync(damaged, bytes);
            try
            {
                // What is in no checksum may pass; nothing else than a refusal may come of the rest.
                EtcdSnapshotReader.Read(damaged, bytes.Length, ByteString.Empty);
            }
            catch (InvalidDataException refused)
            {
                Assert.Contains(damaged, refused.Message, StringComparison.Ordinal);
            }
            catch (Exception other)
            {
                Assert.Fail($"MILLRACE_SEED={seed}, round {round}: {other}");
            }
        }
        whole[^50] ^= 1;
        await File.WriteAllBytesAsync(damaged, whole);
        var error = Assert.Throws<InvalidDataException>(() => GroupRestore.Restore(damaged, Options("new")));
        Assert.Contains("does not match its hash", error.Message, StringComparison.Ordinal);
        await File.WriteAllBytesAsync(damaged, whole[..^32]);
        error = Assert.Throws<InvalidDataException>(() => GroupRestore.Restore(damaged, Options("new")));
        Assert.Contains("--skip-hash-check", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_of_a_snapshot_stays_in_the_data_folder()
    {
        await SaveAsync(Path.Combine(_folder, "state"), keys: 10);
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(_folder, "old"), "scratch*"));
    }

    private string Write(Action<BoltWriter> write)
    {
        var path = Path.Combine(_folder, "bolt");
        using var stream = new FileStream(path, FileMode.Create, FileAccess.ReadWrite);
        var bolt = new BoltWriter(stream);
        write(bolt);
        bolt.Complete();
        return path;
    }

    private async Task SaveAsync(string file, int keys)
    {
        await using var node = await CoordinationNode.StartAsync(Options("old"));
        var endpoint = new Uri($"http://127.0.0.1:{node.ClientPort}");
        using var client = new CoordinationClient([endpoint]);
        for (var i = 0; i < keys; i++)
            await client.PutAsync($"k{i % 300:000}", new string('v', i), CancellationToken.None);
        using var cluster = new ClusterClient([endpoint]);
        await using var stream = File.Create(file);
        await cluster.SnapshotAsync(stream, CancellationToken.None);
    }

    private CoordinationOptions Options(string name) => new() { DataFolder = Path.Combine(_folder, name), ClientPort = 0, PeerPort = -1 };
}
