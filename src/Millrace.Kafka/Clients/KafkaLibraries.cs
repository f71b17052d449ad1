using System.Runtime.CompilerServices;
using Millrace.Storage.Native;

namespace Millrace.Kafka.Clients;

/// <summary>Makes the system's librdkafka (and the codecs beside it) serve our own DllImports and those of Confluent.Kafka.</summary>
public static class KafkaLibraries
{
    private static readonly Lock Gate = new();
    private static bool _ready;

    /// <summary>Call before the first use of a Confluent.Kafka type; cheap when done already.</summary>
    public static void EnsureReady()
    {
        lock (Gate)
        {
            if (_ready)
                return;
            NativeLibraries.Use(typeof(Confluent.Kafka.Library).Assembly, NativeLibraries.Librdkafka);
            _ready = true;
        }
    }

#pragma warning disable CA2255 // The resolver must stand before any DllImport of this assembly runs, whoever comes first.
    [ModuleInitializer]
    internal static void UseOwnImports() =>
        NativeLibraries.Use(typeof(KafkaLibraries).Assembly, NativeLibraries.Librdkafka, NativeLibraries.Zstd, NativeLibraries.Lz4);
#pragma warning restore CA2255
}
