"""The vocabulary of the synthetic data set: common English words, each in one list only.

They are words that WordPiece and most subword vocabularies hold whole, so that a title is a bag of about six
distinct tokens.
"""

from __future__ import annotations

__all__ = ["ALIASES", "BRANDS", "COLOURS", "FILLERS", "FINISHES", "LINES", "MATERIALS", "NOUNS"]

BRANDS = tuple(
    """
    harper mason oxford cambridge victoria windsor lincoln jackson madison franklin carter cooper parker
    turner fisher hunter porter weaver miller baker taylor walker wright palmer sawyer archer spencer
    morgan logan murray graham douglas stuart gordon campbell russell bennett watson nelson henderson
    anderson peterson robinson thompson wilson johnson harrison edison tesla newton darwin galileo kepler
    mozart chopin bach vienna geneva zurich lisbon madrid berlin hamburg munich dresden bergen oslo
    stockholm helsinki copenhagen amsterdam rotterdam antwerp brussels paris lyon marseille naples milan
    turin florence rome athens delhi bombay madras kyoto tokyo osaka seoul taipei shanghai canton sydney
    melbourne perth brisbane auckland wellington toronto montreal ottawa calgary vancouver boston chicago
    denver dallas houston austin phoenix seattle portland oakland fresno memphis nashville atlanta
    richmond norfolk durham raleigh charleston savannah orlando tampa miami havana kingston lima bogota
    santiago dublin belfast glasgow edinburgh aberdeen dundee york leeds bradford sheffield derby
    nottingham leicester coventry bristol exeter plymouth salisbury winchester canterbury dover chester
    lancaster preston bolton hudson bradley crawford
    """.split()
)

LINES = tuple(
    """
    horizon summit canyon meadow harbor island glacier prairie valley river ocean lagoon delta forest
    thunder lightning storm breeze sunrise sunset twilight midnight dawn dusk eclipse comet meteor galaxy
    nebula orbit cosmos lunar solar stellar aurora zenith apex crest ridge cliff peak cascade rapids tide
    wave coral reef atoll oasis desert dune savanna jungle rainforest orchard garden grove willow maple
    cedar aspen birch elm hazel laurel myrtle olive ivy fern lotus lily iris daisy violet orchid poppy
    clover heather sage basil mint falcon eagle hawk raven swan heron robin sparrow dragon griffin
    unicorn tiger panther leopard lion wolf fox bear otter beaver badger elk bison mustang stallion
    dolphin whale shark salmon legacy heritage tradition liberty freedom justice harmony unity victory
    triumph glory honor courage valor spirit destiny fortune legend myth fable saga epic odyssey voyage
    quest journey pilgrim pioneer ranger scout guardian sentinel knight baron duke monarch crown empire
    dynasty republic union alliance vertex matrix vector quantum fusion plasma photon neutron
    """.split()
)
"""A brand's product lines."""

MATERIALS = tuple(
    """
    oak walnut pine mahogany bamboo leather cotton wool silk linen velvet denim nylon rubber plastic
    vinyl steel iron copper brass bronze silver titanium aluminum chrome zinc tin marble granite slate
    clay ceramic porcelain concrete brick paper cardboard cork ivory pearl amber crystal quartz diamond
    carbon wax straw canvas
    """.split()
)

NOUNS = tuple(
    """
    lamp table chair desk shelf cabinet drawer bed mattress pillow blanket carpet rug curtain mirror
    clock candle vase bowl plate cup mug glass bottle jar pot pan kettle knife fork spoon tray basket
    bucket broom brush towel soap sponge bag backpack purse wallet suitcase trunk umbrella hat cap helmet
    scarf glove jacket coat sweater shirt dress skirt trousers jeans belt sock shoe boot watch ring
    necklace bracelet pendant camera lens phone radio speaker microphone keyboard monitor printer scanner
    cable battery flashlight lantern hammer drill saw ladder shovel rake hose bicycle canoe paddle tent
    stove cooler grill oven mixer refrigerator fan guitar piano violin flute trumpet drum harp puzzle
    doll kite ball bat net notebook diary album calendar envelope pencil pen marker ruler frame poster
    statue sculpture fountain bench swing gate fence door window lock key handle hook rope chain pump
    valve pipe filter engine tire saddle collar cage aquarium wardrobe
    """.split()
)

FINISHES = tuple(
    """
    carved woven polished brushed painted printed engraved folded curved padded striped plain rustic
    modern vintage classic compact portable folding heavy slim tall short round square oval narrow wide
    deep soft smooth rough
    """.split()
)
"""How an article is made; the first of the two words by which the members of a family differ."""

COLOURS = tuple(
    """
    red blue green yellow orange purple pink brown black white gray scarlet crimson maroon navy turquoise
    indigo lavender beige tan cream golden charcoal ruby emerald sapphire jade peach rose plum lime lemon
    """.split()
)
"""The second of the two words by which the members of a family differ."""

FILLERS = tuple(
    """
    buy best new good cheap sale offer online store shop price quality original genuine popular favorite
    perfect great nice home family gift delivery fast free special daily official latest review need
    wanted
    """.split()
)
"""Words that only queries use and that say nothing."""

ALIASES = tuple(
    """
    accept achieve acquire adapt admire adopt advance advise affect afford agree aim allow announce
    answer appeal appear apply approve argue arise arrange arrest arrive assemble assert assess assign
    assist assume assure attach attack attempt attend attract avoid awake balance ban bargain beat become
    beg begin behave believe belong bend betray bind bite blame bleed bless blink block bloom blow boil
    borrow bounce bow break breathe breed bring broadcast build bully burn burst bury calculate capture
    care carry cast catch cause cease celebrate challenge change charge chase chat cheat cheer chew chill
    choke choose claim clap clean climb close collapse collect combine comfort command comment commit
    compare compete complain complete compose conceal concentrate concern conclude conduct confess
    confirm confuse connect conquer consent consider consist construct consult consume contact contain
    contend continue contract contribute control convert convince cook cope copy correct cost cough count
    cover crack crash crawl create creep cross crush cry cure curl cut damage dance dare deal debate
    decay decide declare decline decorate defeat defend define delay deliver demand deny depart depend
    describe deserve design desire destroy detect determine develop devote differ dig digest dip direct
    disagree disappear discover discuss dislike dismiss display dissolve distinguish distribute disturb
    dive divide divorce doubt drag drain draw dread dream drift drink drive drop drown dry earn ease eat
    educate elect embrace emerge emphasize employ empty enable encounter encourage endure engage enjoy
    enter entertain escape establish estimate evaluate examine exceed exchange exclude excuse execute
    exercise exhibit exist expand expect explain explode explore export expose express extend fade fail
    faint fall fancy fear feed feel fight fill find finish fit fix flee flip float flood flow fly focus
    follow forbid force forget forgive form freeze fry function gain gather gaze generate glance glow go
    govern grab grant grasp greet grin grip groan grow growl guarantee guess guide hang happen harm hate
    haunt heal hear heat help hesitate hide hire hit hold hope hug hum hunt hurry hurt identify ignore
    imagine imply impress improve include increase indicate influence inform inhabit inherit insist
    inspect inspire install insult intend interest interfere interpret interrupt introduce invade invest
    invite involve jail join joke judge jump justify kick kill kiss knit knock know land last laugh
    launch lay lead lean leap learn leave lend let lick lie lift light like limit link listen live load
    loan locate look lose love lower maintain make manage manufacture march marry match matter mean
    measure meet melt memory mention merge migrate mind miss modify moan move murder murmur name
    negotiate nod notice number obey object observe obtain occupy occur open operate oppose order
    organize overcome owe own pack park part participate pass pause pay perceive perform permit persuade
    pinch plan plant play plead please point poke possess post pour practice praise pray preach predict
    prefer prepare present preserve press pretend prevent proceed produce program progress prohibit
    promise promote propose protect protest prove provide publish pull punch punish push qualify quarrel
    question quit race rain raise reach react read realize reason rebel recall receive reckon recognize
    record recover reduce refer reflect refuse regard regret reign reject relate relax release relieve
    rely remain remember remind remove renew rent repair repeat replace reply report represent request
    rescue research resemble resist resolve respect respond rest restore restrict result retain retire
    retreat return reveal reward ride rise roar rob roll rot rub ruin rule run rush sail satisfy save say
    scare score scrape scratch scream screw search seek seem seize select sell send separate serve settle
    shake shape share shave shelter shiver shock shoot shout show shrink shrug shut sigh sign signal sing
    sink sit sleep slide slip smash smell smile smoke snap sniff snow solve sound spare spark speak
    specify speed spell spend spill spin spit split spoil spot spray spread squash squeak squeeze stain
    stamp stand stare start state stay steal steer step stick stimulate sting stir stop strain strap
    stress stretch strike strip strive struggle study stuff stumble submit succeed suffer suggest suit
    supply support suppose surprise surrender surround survive suspect suspend swallow swear sweat sweep
    swell swim switch talk tame tap taste teach tear tease tell test thank think threaten throw tick tie
    tip touch tour tow trace trade train translate transport trap travel treat tremble trick trip trouble
    trust try tug tumble turn twist type understand undertake unite unlock upset urge vanish visit wait
    """.split()
)
"""Words that only queries use: each stands for one word of the titles, which one is drawn by the seed."""
