"""The words by which captions name objects: classes, synonyms, kinds, plurals, distractors.

The folder ``data`` has one YAML file per supercategory of COCO: ``distractors``, those of the
paper's Table 6, and ``classes``, each with the keys of `ClassWords`. A word is written as
`parse_noun` reads it: ``dog``, ``passerby/passersby``, ``/people``, ``luggage/``. How phrases are
written says `Vocabulary.from_yaml`.

What the tables hold, by these rules:

- synonyms and kinds, not what is wider (animal, vehicle, furniture, food) and not parts (hand,
  wheel). A word that several classes share (board, bag, glass) stands under each.
- a word that names a target in one sense and something else in another is listed, and phrases
  in which it means something else stand under ``keep``; a word that hardly ever names one in
  captions (watch, brush) is not listed.
- a word that is a verb too (train, cook, board) is listed, and named under ``verbs``; where it
  clearly is one it is left alone, or, where what it tells of shows the class (ski, bike, canoe),
  has a meaning under ``phrases``.
- words that tell of a class without naming one of its objects stand under ``phrases`` and
  ``compounds`` where a text-to-image model would draw the class to show them: what is done with it
  (biking, horseback riding, surfing), who does it (surfer), what holds or carries it (birdhouse,
  boathouse, dog sled), a group of it (traffic), and a place or a piece of furniture that is what
  it is by having it (bedroom, parking lot, airport, marina, kitchen, bookcase).
- left alone are words for what is seen without the class as well: places where it often is
  (street, office, restaurant, beach), what is made of it or named after it (cowhide, catwalk,
  bottleneck, horseshoe, chairlift), and the names of games where only their players are classes.
- ``keep`` has no phrase whose first word only says where or what for (bus stop, dog house): an
  image made from it would show the object.
- a template says something that a photo can show and that fits where the phrase stood: a noun for
  a noun, a verb for a verb. Where it names a class itself (police on pigs), that is replaced in
  its turn. ``modifiers`` say of people what they look like or where they come from, and
  ``attributes`` what they wear or have that tells of faith or disability.
- words for nations and faiths, which are adjectives too, stand under ``adjectives`` alone.
"""

from empaste_aug.offline.vocabulary.nouns import Noun
from empaste_aug.offline.vocabulary.tables import ClassWords, Vocabulary

__all__ = ["ClassWords", "Noun", "Vocabulary"]
