using System.Buffers;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Millrace.Host.Demo;

namespace Millrace.Tests.Host;

public sealed class RetailReplayTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public RetailReplayTests()
    {
        using var stream = new GZipStream(File.Create(_file), CompressionLevel.Fastest);
        stream.Write(Encoding.UTF8.GetBytes(string.Join('\n', Enumerable.Range(0, 7).Select(i =>
            $$"""{"InvoiceNo":"{{i}}","StockCode":"A","Description":"é","Quantity":{{i}},"InvoiceDate":"2010-12-01T08:26:00Z","UnitPrice":{{i}}.5,"CustomerID":null,"Country":"C{{i % 3}}"}"""))));
    }

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void A_good_record_is_the_line_with_its_own_id_and_time()
    {
        var replay = RetailReplay.Load(_file, startMillis: 1_700_000_000_000, recordsPerSecond: 1000, badEvery: 0);
        using var record = JsonDocument.Parse(Record(replay, 8));
        Assert.Equal(8, record.RootElement.GetProperty("LineId").GetInt64());
        Assert.Equal("1", record.RootElement.GetProperty("InvoiceNo").GetString());
        Assert.Equal("2023-11-14T22:13:20.008Z", record.RootElement.GetProperty("InvoiceDate").GetString());
    }

    [Fact]
    public void About_one_record_of_the_asked_number_is_bad_and_a_duplicate_repeats_a_good_one()
    {
        var replay = RetailReplay.Load(_file, 0, 1000, badEvery: 200);
        var bad = Enumerable.Range(0, 100_000).Where(i => replay.FaultOf(i) != PlantedFault.None).ToList();
        Assert.InRange(bad.Count, 400, 600);
        Assert.Equal(5, bad.Select(i => replay.FaultOf(i)).Distinct().Count());
        foreach (var index in bad.Where(i => replay.FaultOf(i) == PlantedFault.Duplicate))
        {
            Assert.Equal(PlantedFault.None, replay.FaultOf(index - 1));
            Assert.Equal(Record(replay, index - 1), Record(replay, index));
            Assert.Equal(replay.PartitionOf(index - 1, 3), replay.PartitionOf(index, 3));
        }
    }

    [Fact]
    public void The_truth_counts_each_good_record_once()
    {
        var replay = RetailReplay.Load(_file, 0, 1000, badEvery: 50);
        var truth = new RetailTruth(replay, TimeSpan.FromSeconds(10));
        truth.CountTo(12_345);
        truth.CountTo(54_321);
        Assert.Equal(54_321, truth.In);
        Assert.Equal(truth.Good, truth.Windows.Values.Sum(w => w.Orders));
        Assert.Equal(
            Enumerable.Range(0, 54_321).Count(i => replay.FaultOf(i) != PlantedFault.None), truth.Quarantined);
    }

    private static byte[] Record(RetailReplay replay, long index)
    {
        var buffer = new ArrayBufferWriter<byte>();
        replay.Write(index, buffer);
        return buffer.WrittenSpan.ToArray();
    }
}
