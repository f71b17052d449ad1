using System.Runtime.CompilerServices;
using Millrace.Log.Storage;

namespace Millrace.Log;

/// <summary>Records per second of partitions, from their counters at the times of asking.</summary>
internal sealed class Rates(TimeProvider time)
{
    /// <summary>A rate is taken over at least this long, so that two who ask one after the other see the same.</summary>
    private static readonly TimeSpan Span = TimeSpan.FromSeconds(1);

    private readonly ConditionalWeakTable<Partition, Sample> _samples = [];

    private sealed class Sample
    {
        public long At;
        public long Records;
        public double Rate;
    }

    public double Of(Partition partition)
    {
        var now = time.GetTimestamp();
        var records = partition.RecordsAppended;
        var sample = _samples.GetValue(partition, _ => new Sample { At = now, Records = records });
        lock (sample)
        {
            var passed = time.GetElapsedTime(sample.At, now);
            if (passed >= Span)
            {
                sample.Rate = (records - sample.Records) / passed.TotalSeconds;
                sample.At = now;
                sample.Records = records;
            }
            return sample.Rate;
        }
    }
}
